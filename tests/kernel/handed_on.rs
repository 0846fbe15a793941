//! Accepted connections that change hands: whoever accepted is named, in the close too, whoever closes.

use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use socket2::Socket;

use crate::connecting::assert_caller;
use crate::hands::give;
use crate::hands::take;
use crate::pairs::assert_bytes;
use crate::pairs::traced_accept;
use crate::processes::forked;

#[test]
fn given_away() {
    let told = traced_accept(|listener, mut stream| {
        let (here, there) = UnixStream::pair().unwrap();
        let child = forked(|| {
            let mut accepted = take(&there);
            nix::unistd::write(there.as_fd(), &[1]).unwrap();
            accepted.read_exact(&mut [0; 3]).unwrap();
            accepted.write_all(b"defgh").unwrap();
            drop(accepted);
        });
        give(&here, Socket::from(listener.accept().unwrap().0));
        // The child has it, and nobody else.
        (&here).read_exact(&mut [0]).unwrap();
        stream.write_all(b"abc").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        child.wait();
    });
    let Some((accept, close)) = told else { return };
    assert_caller(&accept);
    assert_caller(&close);
    assert_bytes(&close, 5, 3);
}

/// As inetd does it.
#[test]
fn the_input_of_another_program() {
    let told = traced_accept(|listener, mut stream| {
        let accepted = OwnedFd::from(listener.accept().unwrap().0);
        let output = accepted.try_clone().unwrap();
        let mut cat = Command::new("cat").stdin(accepted).stdout(output).spawn().unwrap();
        stream.write_all(b"abc").unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(cat.wait().unwrap().success());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let Some((accept, close)) = told else { return };
    assert_caller(&accept);
    assert_caller(&close);
    assert_bytes(&close, 3, 3);
}
