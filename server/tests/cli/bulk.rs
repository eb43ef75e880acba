//! What `import` has reported survives a crash right after.

use super::Larder;

const ENTRIES: u64 = 100_000;

#[test]
fn imported_entries_survive_a_crash() {
    let larder = Larder::start();
    let lines: String = (0..ENTRIES)
        .map(|n| format!("{{\"key\":\"key:{n:06}\",\"value\":{{\"n\":{n},\"f\":1.0}}}}\n"))
        .collect();
    let ended = larder.run_with(&["import"], &lines);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, "larder: imported 100000, failed 0\n"));
    let larder = larder.crash_and_restart();
    assert_eq!(larder.done(&["count"]), "100000\n");
    assert_eq!(larder.done(&["get", "key:099999"]), "{\"n\":99999,\"f\":1.0}\n");
}

/// Values of half a megabyte: the window is bounded by bytes, and neither side waits for the other for ever.
#[test]
fn large_values_go_through_a_bounded_window() {
    let larder = Larder::start();
    let value = "x".repeat(512 * 1024);
    let lines: String = (0..40).map(|n| format!("{{\"key\":\"key:{n}\",\"value\":\"{value}\"}}\n")).collect();
    assert_eq!(larder.run_with(&["import"], &lines).code, 0);
    let exported = larder.done(&["export"]);
    assert_eq!(exported.lines().filter(|line| line.contains(&value)).count(), 40);
}
