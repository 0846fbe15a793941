//! The real consumers that receive: rsyslog by stream and by datagrams, syslog-ng. Each runs with the configuration
//! that examples/ ships, and with a place of its own; connledger traces real connections, in a network namespace of
//! the test's own, and writes them to the consumer and to standard output. What the consumer has written is held
//! against that, by run and number. Needs root, and what `make deps` unpacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// Makes a test for each consumer of each function.
macro_rules! each_consumer {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use crate::kind::Kind;

            #[test]
            fn rsyslog_stream() {
                super::$test(Kind::RsyslogStream);
            }

            #[test]
            fn rsyslog_datagram() {
                super::$test(Kind::RsyslogDatagram);
            }

            #[test]
            fn syslog_ng() {
                super::$test(Kind::SyslogNg);
            }
        }
    )+};
}

mod balance;
mod connections;
mod consumer;
mod faults;
mod kind;
mod line;
mod place;
mod received;
mod shipper;
#[path = "../support/skip.rs"]
mod skip;
mod waiting;
mod whole;
