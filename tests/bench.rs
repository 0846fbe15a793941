//! The parts of `make bench` that need no kernel: what is made of numbers, and of what other tools print. The
//! benchmark itself has no tests of its own; it is run (docs/BENCHMARKS.md).

#![allow(dead_code, reason = "a part of each module is used")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "as in the benchmark"
)]

#[path = "../benches/host/contestant.rs"]
mod contestant;
#[path = "../benches/host/obstacles.rs"]
mod obstacles;
#[path = "../benches/host/pipeline.rs"]
mod pipeline;
#[path = "../benches/host/plot.rs"]
mod plot;
#[path = "../benches/host/statistics.rs"]
mod statistics;
#[path = "../benches/host/targets.rs"]
mod targets;

/// What [`contestant`] needs of the load.
mod load {
    pub const PORT: u16 = 7000;
}

mod of_statistics {
    use crate::statistics::percentile;
    use crate::statistics::summarize;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((summarize(&[3.0, 1.0, 2.0]).unwrap().median - 2.0).abs() < 1e-12);
        assert!((summarize(&[4.0, 1.0, 2.0, 3.0]).unwrap().median - 2.5).abs() < 1e-12);
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        assert!(summarize(&[]).is_none());
        assert!(percentile(&[], 0.99).is_none());
    }

    #[test]
    fn the_interval_holds_the_median_and_stays_within_the_values() {
        let values: Vec<f64> = (0..15).map(|n| f64::from(n * n % 17)).collect();
        let summary = summarize(&values).unwrap();
        assert!(summary.low < summary.median && summary.median < summary.high, "{summary:?}");
        assert!(summary.min <= summary.low && summary.high <= summary.max, "{summary:?}");
    }

    /// The middle 95 % of medians of samples of 0 to 98: the order statistics 40 and 60 or so of 99, which
    /// hold the median of any distribution with 95 % (binomial: 49.5 ± 1.96 × √99 / 2).
    #[test]
    fn the_interval_is_as_wide_as_theory_has_it() {
        let values: Vec<f64> = (0..99).map(f64::from).collect();
        let summary = summarize(&values).unwrap();
        assert!((37.0..=42.0).contains(&summary.low), "{summary:?}");
        assert!((56.0..=61.0).contains(&summary.high), "{summary:?}");
    }

    #[test]
    fn the_same_values_have_the_same_interval_in_any_order() {
        let summary = summarize(&[0.9, 0.95, 0.97, 0.93, 0.99]).unwrap();
        assert_eq!(summarize(&[0.99, 0.93, 0.97, 0.95, 0.9]).unwrap(), summary);
    }

    #[test]
    fn equal_values_leave_no_doubt() {
        let summary = summarize(&[7.0; 6]).unwrap();
        assert!((summary.high - summary.low).abs() < 1e-12);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        let at = |share| percentile(&values, share).unwrap();
        assert!((at(0.50) - 100.0).abs() < 1e-12);
        assert!((at(0.99) - 198.0).abs() < 1e-12);
        assert!((at(1.00) - 200.0).abs() < 1e-12);
        assert!((percentile(&[5.0], 0.99).unwrap() - 5.0).abs() < 1e-12);
    }
}

mod of_contestants {
    use crate::contestant::Contestant;
    use crate::contestant::reported_lost;

    fn peer(program: &str) -> Contestant {
        let peers = Contestant::peers();
        peers.into_iter().find(|peer| peer.command[0] == program).expect(program)
    }

    #[test]
    fn tcplife_has_a_line_for_each_end() {
        let output = b"\
            PID     COMM             LADDR           LPORT RADDR           RPORT TX_KB  RX_KB  MS\n\
            22436   bench-load       127.0.0.1       50164 127.0.0.1       7000  0.06   0.06   0.09\n\
            22436   bench-load       127.0.0.1       7000  127.0.0.1       50164 0.06   0.06   0.27\n\
            22437   curl             127.0.0.1       57000 192.0.2.1       443   0.06   0.06   0.27\n";
        assert_eq!(peer("tcplife").count_lines(output), 2);
        assert_eq!(peer("tcplife").count_all_lines(output), 3);
    }

    #[test]
    fn states_of_the_listener_are_not_of_a_connection() {
        let output = b"\
            SKADDR           PID     COMM       LADDR           LPORT RADDR           RPORT OLDSTATE    -> NEWSTATE    MS\n\
            ffff8881cdebd340 22528   bench-load 127.0.0.1       7000  0.0.0.0         0     CLOSE       -> LISTEN      0.000\n\
            ffff8881cdebe5c0 22528   bench-load 127.0.0.1       7000  127.0.0.1       46994 LISTEN      -> SYN_RECV    0.000\n\
            ffff8881cdebe5c0 22528   bench-load 127.0.0.1       7000  127.0.0.1       46994 FIN_WAIT2   -> CLOSE       0.000\n\
            ffff8881cdebd340 22528   bench-load 127.0.0.1       7000  0.0.0.0         0     LISTEN      -> CLOSE       9.000\n";
        assert_eq!(peer("tcpstates").count_lines(output), 2);
        let numbered = b"Attaching 1 probe...\n1 a b 7000 0 7 -> 10\n1 a 7000 46994 10 -> 3\n1 a 7000 0 10 -> 7\n";
        assert_eq!(peer("bpftrace").count_lines(numbered), 1);
    }

    #[test]
    fn tcpdump_has_a_line_for_each_syn() {
        let output = b"\
            15:28:04.020068 IP 127.0.0.1.55428 > 127.0.0.1.7000: Flags [S], seq 897425418, length 0\n\
            15:28:04.020083 IP 127.0.0.1.7000 > 127.0.0.1.55428: Flags [S.], seq 4082138516, length 0\n";
        assert_eq!(peer("tcpdump").count_lines(output), 2);
    }

    #[test]
    fn connledger_has_four_records_and_some_of_its_own() {
        let output = br#"{"event":"start","ring_size":7000}
{"event":"connect","local":{"ip":"127.0.0.1","port":40000},"remote":{"ip":"127.0.0.1","port":7000}}
{"event":"accept","local":{"ip":"127.0.0.1","port":7000},"remote":{"ip":"127.0.0.1","port":40000}}
{"event":"close","duration_us":7000,"local":{"ip":"192.0.2.1","port":40000},"remote":{"ip":"192.0.2.2","port":17000}}
"#;
        assert_eq!(Contestant::connledger().count_lines(output), 2);
        assert_eq!(Contestant::connledger().count_all_lines(output), 3);
    }

    #[test]
    fn each_tool_is_taken_at_its_word() {
        assert_eq!(reported_lost("Lost 17 events on CPU #0!\nLost 3 events on CPU #1!\n"), 20);
        assert_eq!(reported_lost("Possibly lost 4 samples\n"), 4);
        let tcpdump =
            "6 packets captured\n12 packets received by filter\n2 packets dropped by kernel\n";
        assert_eq!(reported_lost(tcpdump), 2);
        assert_eq!(reported_lost("Lost events: none"), 0);
    }

    #[test]
    fn commands_are_shown_as_one_would_type_them() {
        assert_eq!(Contestant::connledger().shown_command(), "connledger -q");
        let tcpdump = peer("tcpdump").shown_command();
        assert_eq!(tcpdump, "tcpdump -n -i lo 'tcp[tcpflags] & tcp-syn != 0'");
    }
}

mod of_the_pipeline {
    use crate::pipeline::Stage;
    use crate::pipeline::parse;

    #[test]
    fn the_medians_are_found() {
        let output = "\
Timer precision: 20 ns
pipeline           fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ encode_ndjson                 │               │               │               │         │
│  ├─ 8            1.806 ms      │ 5.864 ms      │ 1.835 ms      │ 3.434 ms      │ 10      │ 10
│  │               5.605 GB/s    │ 1.726 GB/s    │ 5.515 GB/s    │ 2.948 GB/s    │         │
│  │               9.07 Mitem/s  │ 2.793 Mitem/s │ 8.925 Mitem/s │ 4.77 Mitem/s  │         │
│  ╰─ 10000        5.493 ms      │ 13.75 ms      │ 9.637 ms      │ 8.463 ms      │ 10      │ 10
│                  7.281 Mitem/s │ 2.908 Mitem/s │ 4.15 Mitem/s  │ 4.726 Mitem/s │         │
╰─ whole                         │               │               │               │         │
   ╰─ 8            3.243 ms      │ 3.355 ms      │ 3.283 ms      │ 3.291 ms      │ 10      │ 10
                   505 Kitem/s   │ 483.3 Kitem/s │ 498.9 Kitem/s │ 497.7 Kitem/s │         │
";
        let stage = |name: &str, processes: &str, records_a_second| Stage {
            name: name.to_owned(),
            processes: processes.to_owned(),
            records_a_second,
        };
        let expected = [
            stage("encode_ndjson", "8", 8.925 * 1e6),
            stage("encode_ndjson", "10000", 4.15 * 1e6),
            stage("whole", "8", 498.9 * 1e3),
        ];
        assert_eq!(parse(output), expected);
    }
}

mod of_targets {
    use crate::statistics::Summary;
    use crate::targets::Figures;
    use crate::targets::judge;

    fn about(median: f64) -> Summary {
        let (low, high) = (median * 0.99, median * 1.01);
        Summary { count: 7, median, low, high, min: low, max: high }
    }

    fn verdicts(figures: &Figures) -> Vec<Option<bool>> {
        judge(figures).iter().map(|target| target.met).collect()
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(verdicts(&Figures::default()).iter().all(Option::is_none));
    }

    #[test]
    fn each_limit_is_met_exactly_and_missed_by_a_little() {
        let limits = Figures {
            ratio: Some(about(0.95)),
            over_tcplife: Some(about(1.4)),
            kernel_ns: Some(about(4000.0)),
            user_us: Some(about(0.6)),
            encoded_a_second: Some(3e6),
            file_lines: Some(about(1.5e6)),
            unix_lines: Some(about(1.5e6)),
            two_over_one: Some(about(1.05)),
            idle_wake_ups: Some(0),
            idle_p99_us: Some(1000.0),
            load_p99_us: Some(30_000.0),
            memory_kib: Some((24 * 1024, 0)),
            lost: Some((0, 1_000_000)),
        };
        assert!(verdicts(&limits).iter().all(|met| *met == Some(true)), "{:?}", judge(&limits));
        let beyond = Figures {
            ratio: Some(about(0.949)),
            over_tcplife: Some(about(1.39)),
            kernel_ns: Some(about(4001.0)),
            user_us: Some(about(0.61)),
            encoded_a_second: Some(2.99e6),
            file_lines: Some(about(1.49e6)),
            unix_lines: Some(about(1.49e6)),
            two_over_one: Some(about(1.06)),
            idle_wake_ups: Some(1),
            idle_p99_us: Some(1001.0),
            load_p99_us: Some(30_001.0),
            memory_kib: Some((24 * 1024 + 1, 0)),
            lost: Some((1, 1_000_000)),
        };
        assert!(verdicts(&beyond).iter().all(|met| *met == Some(false)), "{:?}", judge(&beyond));
        let hindered = |figures| judge(figures).iter().filter(|t| t.obstacle.is_some()).count();
        assert_eq!((hindered(&limits), hindered(&beyond)), (0, 4), "told only where not met");
    }

    #[test]
    fn memory_that_grows_is_not_flat() {
        let figures = Figures { memory_kib: Some((8 * 1024, 2048)), ..Figures::default() };
        assert!(verdicts(&figures).contains(&Some(false)));
    }
}

mod of_the_plot {
    use crate::plot::Dot;
    use crate::plot::Figure;
    use crate::plot::Row;
    use crate::plot::short;
    use crate::plot::ticks;

    #[test]
    fn scales_have_round_steps_and_hold_all() {
        let close = |a: &[f64], b: &[f64]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
        };
        assert!(close(&ticks(4.0), &[0.0, 1.0, 2.0, 3.0, 4.0]));
        assert!(close(&ticks(8.7), &[0.0, 2.5, 5.0, 7.5, 10.0]));
        assert!(close(&ticks(0.0), &[0.0, 1.0]));
        for highest in [0.013, 0.9, 1.1, 17.0, 430.0, 99_999.0] {
            let ticks = ticks(highest);
            assert!(*ticks.last().unwrap() >= highest, "{highest}: {ticks:?}");
            assert!((3..=6).contains(&ticks.len()), "{highest}: {ticks:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> =
            [0.0, 0.25, 1.0, 2.5, 1000.0, 10_000.0, 300_000.0, 1e6].map(short).to_vec();
        assert_eq!(shown, ["0", "0.25", "1", "2.5", "1000", "10k", "300k", "1M"]);
    }

    #[test]
    fn every_dot_is_drawn_within_the_figure() {
        let dot = |x, y| Dot { x, y, low: y * 0.9, high: y * 1.1 };
        let figure = Figure {
            columns: vec!["open & idle", "processes"],
            rows: vec![Row {
                title: "CPU < all",
                panels: vec![vec![dot(1.0, 3.0), dot(1e5, 4.0)], vec![dot(10.0, 1.0)]],
            }],
        };
        let svg = figure.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("open &amp; idle") && svg.contains("CPU &lt; all"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
