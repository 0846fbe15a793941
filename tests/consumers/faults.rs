//! What befalls consumers and connledger itself. Whatever it is, the lines that a consumer has in the end balance by
//! run and number.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::chown;

use nix::sys::signal::Signal;

use crate::balance::Balance;
use crate::balance::Ending;
use crate::consumer::Consumer;
use crate::kind::Kind;
use crate::line;
use crate::place::Place;
use crate::received::Received;
use crate::shipper::Sent;
use crate::shipper::Shipper;

/// Their records are more than the socket's buffers hold, several times.
const MANY: usize = 1_000;
const FEW: usize = 50;

/// A user who is not root.
const STRANGER: u32 = 65_534;

/// Waits until the consumer has written what is told so far: then it has nothing in hand.
fn settle(shipper: &mut Shipper, received: &mut Received<'_>) {
    shipper.trace(FEW);
    let (run, seq) = shipper.last();
    received.wait_for(&run, seq);
}

/// Lets the consumer catch up, for which there is little time once connledger ends; stops connledger, and draws up the
/// balance when all has come.
fn end(mut shipper: Shipper, received: &mut Received<'_>) -> Balance {
    settle(&mut shipper, received);
    let sent = shipper.stop();
    received.wait_for_all(&sent);
    Balance::of(&sent, received.lines(), Ending::Stopped)
}

/// It does not read for a while. Who blocks loses nothing.
fn stopped_and_resumed(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let mut shipper = Shipper::start(&place, ",on-full=block");
    settle(&mut shipper, &mut received);
    consumer.freeze();
    shipper.connect(MANY);
    consumer.thaw();
    let balance = end(shipper, &mut received);
    balance.assert_all_came();
    assert_eq!(balance.doubles, 0, "{balance:?}");
}

/// It does not read for a while, and its queue is short: what is dropped is declared. The other output gets all of it
/// meanwhile.
fn stopped_and_dropped(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let mut shipper = Shipper::start(&place, ",on-full=drop,queue=1000");
    settle(&mut shipper, &mut received);
    consumer.freeze();
    shipper.trace(2 * MANY);
    consumer.thaw();
    received.wait_for_loss();
    let balance = end(shipper, &mut received);
    balance.assert_whole();
    balance.assert_lost_by(&["output_full"]);
    assert!(balance.lost["output_full"] > 0, "{balance:?}");
}

/// It is killed while all buffers are full of what it has not read. Of a stream, that comes again.
fn killed_and_restarted(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let mut shipper = Shipper::start(&place, ",on-full=block");
    settle(&mut shipper, &mut received);
    consumer.freeze();
    shipper.connect(MANY);
    consumer.kill();
    let consumer = Consumer::start(&place);
    let balance = end(shipper, &mut received);
    balance.assert_lost_by(&[]);
    balance.assert_missing_at_most(kind.not_read());
    consumer.end();
}

/// It is killed while it is under load. Missing is at most what it had in hand then: read, but not written. Nobody
/// else can know of that.
fn killed_under_load(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let shipper = Shipper::start(&place, ",on-full=block");
    let _consumer = shipper.connect_while(2 * MANY, || {
        received.wait_for_lines(MANY);
        received.expect_torn();
        consumer.kill();
        Consumer::start(&place)
    });
    let balance = end(shipper, &mut received);
    balance.assert_lost_by(&[]);
    balance.assert_missing_at_most(kind.in_hand());
}

/// It ends in order while it is under load, and comes back.
fn restarted_under_load(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let shipper = Shipper::start(&place, ",on-full=block");
    let _consumer = shipper.connect_while(2 * MANY, || {
        received.wait_for_lines(MANY);
        consumer.end();
        Consumer::start(&place)
    });
    let balance = end(shipper, &mut received);
    balance.assert_lost_by(&[]);
    balance.assert_missing_at_most(kind.not_read());
}

/// It comes later than connledger, which waits for it and says so.
fn absent_at_start(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let mut shipper = Shipper::start(&place, ",on-full=block");
    shipper.trace(FEW);
    shipper.wait_for_words(&[&place.output(), "no such socket"]);
    let _consumer = Consumer::start(&place);
    shipper.trace(FEW);
    let balance = end(shipper, &mut Received::at(&place));
    balance.assert_all_came();
    assert_eq!(balance.doubles, 0, "{balance:?}");
}

/// It comes when the queue has long been full: what is in the queue comes, and what is not is declared.
fn absent_for_too_long(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let mut shipper = Shipper::start(&place, ",on-full=drop,queue=1000");
    shipper.trace(MANY);
    let _consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    received.wait_for_loss();
    let balance = end(shipper, &mut received);
    balance.assert_whole();
    balance.assert_lost_by(&["output_full"]);
    assert!(balance.lost["output_full"] > 0, "{balance:?}");
    assert_eq!(balance.doubles, 0, "{balance:?}");
}

/// It was killed before connledger came, and left its socket's file behind.
fn stale_socket(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    Consumer::start(&place).kill();
    assert!(place.socket().exists(), "it is left behind");
    let mut shipper = Shipper::start(&place, ",on-full=block");
    shipper.trace(FEW);
    shipper.wait_for_words(&[&place.output(), "nobody listens"]);
    let _consumer = Consumer::start(&place);
    let balance = end(shipper, &mut Received::at(&place));
    balance.assert_all_came();
}

/// The directory of its socket is closed to connledger, which is root without capabilities; then it is opened.
fn directory_without_permission(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    chown(place.run(), Some(STRANGER), Some(STRANGER)).unwrap();
    fs::set_permissions(place.run(), Permissions::from_mode(0o700)).unwrap();
    let mut shipper = Shipper::start(&place, ",on-full=block");
    let _consumer = Consumer::start(&place);
    shipper.trace(FEW);
    shipper.wait_for_words(&[&place.output(), "permission denied"]);
    fs::set_permissions(place.run(), Permissions::from_mode(0o755)).unwrap();
    let balance = end(shipper, &mut Received::at(&place));
    balance.assert_all_came();
}

/// Its socket is closed to connledger, then opened.
fn socket_without_permission(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let _consumer = Consumer::start(&place);
    chown(place.socket(), Some(STRANGER), Some(STRANGER)).unwrap();
    fs::set_permissions(place.socket(), Permissions::from_mode(0o700)).unwrap();
    let mut shipper = Shipper::start(&place, ",on-full=block");
    shipper.trace(FEW);
    shipper.wait_for_words(&[&place.output(), "permission denied"]);
    fs::set_permissions(place.socket(), Permissions::from_mode(0o777)).unwrap();
    let balance = end(shipper, &mut Received::at(&place));
    balance.assert_all_came();
}

/// Sends are cut anywhere by a send buffer that holds a few lines, and the consumer halts in between.
fn small_send_buffer(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let mut shipper = Shipper::start(&place, ",on-full=block,send-buffer=4KiB");
    for _ in 0..5 {
        consumer.freeze();
        shipper.connect(FEW);
        consumer.thaw();
        shipper.trace(FEW);
    }
    shipper.trace(MANY);
    let balance = end(shipper, &mut received);
    balance.assert_all_came();
    assert_eq!(balance.doubles, 0, "{balance:?}");
}

/// connledger is killed while it waits for a consumer that does not read, most likely in the middle of a line.
fn connledger_killed_in_mid_write(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let mut shipper = Shipper::start(&place, ",on-full=block");
    settle(&mut shipper, &mut received);
    consumer.freeze();
    shipper.connect(MANY);
    let killed = shipper.kill();
    consumer.thaw();
    assert_right_so_far(&place, &mut received, &killed);
}

/// connledger is killed while it writes as fast as the consumer reads.
fn connledger_killed_under_load(kind: Kind) {
    let Some(place) = Place::new(kind) else { return };
    let _consumer = Consumer::start(&place);
    let mut received = Received::at(&place);
    let shipper = Shipper::start(&place, ",on-full=block");
    shipper.connect_while(2 * MANY, || {
        received.wait_for_lines(MANY);
        shipper.signal(Signal::SIGKILL);
    });
    assert_right_so_far(&place, &mut received, &shipper.kill());
}

/// What the consumer has of a run that was killed are whole lines, from the first on without a gap. Half a line, of
/// those consumers that take one, is told apart. The next run is whole.
fn assert_right_so_far(place: &Place, received: &mut Received<'_>, killed: &Sent) {
    let next = Shipper::start(place, ",on-full=block");
    end(next, received).assert_all_came();
    let balance = Balance::of(killed, received.lines(), Ending::Killed);
    balance.assert_all_came();
    assert!(balance.events >= FEW, "{balance:?}");

    let halves = place.not_json();
    assert!(halves.lines().count() <= 1, "{halves}");
    let head = line::head(&killed.run);
    for half in halves.lines() {
        assert!(half.starts_with(&head) || head.starts_with(half), "{half}");
    }
}

each_consumer!(
    stopped_and_resumed,
    stopped_and_dropped,
    killed_and_restarted,
    killed_under_load,
    restarted_under_load,
    absent_at_start,
    absent_for_too_long,
    stale_socket,
    directory_without_permission,
    socket_without_permission,
    small_send_buffer,
    connledger_killed_in_mid_write,
    connledger_killed_under_load,
);
