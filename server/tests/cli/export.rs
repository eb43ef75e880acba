//! `export`, and the way back by `import`.

use std::fs;

use super::{Larder, end, scripted, verb};

const LINES: &str = r#"{"namespace":"default","key":"a","value":{"x":1.0,"y":1234567890123456789012345678901234567890},"type":"JSON"}
{"namespace":"default","key":"b c","value":"\ud800","type":"STRING","description":"a \"note\"\n","expires_at":4073544000000}
{"namespace":"default","key":"d","value":"2030-01-31","type":"DATE"}
{"namespace":"n m","key":"a","value":null,"type":"JSON"}
"#;

#[test]
fn what_is_exported_can_be_imported_and_is_the_same() {
    let larder = Larder::start();
    assert_eq!(larder.run_with(&["import"], LINES).code, 0);
    let exported = larder.run(&["export", "--all-namespaces"]);
    assert_eq!((exported.code, exported.stdout.as_str()), (0, LINES));
    assert_eq!(exported.stderr, "larder: exported 4\n");

    let other = Larder::start();
    assert_eq!(other.run_with(&["import"], &exported.stdout).code, 0);
    assert_eq!(other.done(&["export", "--all-namespaces"]), LINES);
}

#[test]
fn a_part_can_be_exported() {
    let larder = Larder::start();
    assert_eq!(larder.run_with(&["import"], LINES).code, 0);
    assert_eq!(larder.done(&["export"]).lines().count(), 3);
    let line = |number: usize| format!("{}\n", LINES.lines().nth(number).unwrap());
    assert_eq!(larder.done(&["export", "--ns", "n m"]), line(3));
    assert_eq!(larder.done(&["export", "b"]), line(1));
    assert_eq!(larder.done(&["export", "nothing"]), "");
}

#[test]
fn a_file_appears_when_it_is_complete() {
    let larder = Larder::start();
    assert_eq!(larder.run_with(&["import"], LINES).code, 0);
    let file = larder.path("out.jsonl");
    assert_eq!(larder.done(&["export", "--output", &file, "--json"]), "{\"exported\":3,\"skipped\":0}\n");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 3);
    let directory = larder.path("");
    larder.run(&["export", "--output", &directory]).refuses(2, "not a regular file");
    larder.run(&["export", "--output", &larder.path("no/such/out")]).refuses(3, "cannot write");
}

#[test]
fn pages_follow_one_another() {
    let larder = Larder::start();
    let lines: String = (0..2_500)
        .map(|n| {
            format!("{{\"namespace\":\"default\",\"key\":\"k{n:04}\",\"value\":{n},\"type\":\"NUMBER\"}}\n")
        })
        .collect();
    assert_eq!(larder.run_with(&["import"], &lines).code, 0);
    assert_eq!(larder.done(&["export"]), lines);
    assert_eq!(larder.done(&["ls", "--all"]).lines().count(), 2_500);
}

#[test]
fn what_goes_between_the_listing_and_the_reading_is_passed_over() {
    let addr = scripted(&[
        (1, "ITEM a 1 -\nITEM b 2 -\nEND 2\n"),
        (
            2,
            "NIL\nOK {\"organization\":\"default\",\"namespace\":\"n\",\"key\":\"b\",\"value\":1,\"type\":\"NUMBER\",\
             \"description\":null,\"version\":2,\"created_at\":1,\"updated_at\":1,\"expires_at\":null,\"id\":\"ds_1\"}\n",
        ),
    ]);
    let ended = end(verb().args(["export", "--addr", &addr]), "");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stdout, "{\"namespace\":\"n\",\"key\":\"b\",\"value\":1,\"type\":\"NUMBER\"}\n");
    assert_eq!(ended.stderr, "larder: exported 1, skipped 1 that were deleted or expired meanwhile\n");
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.jsonl");
    let addr = scripted(&[(1, "ITEM a 1 -\nEND 1\n"), (1, "ERR DAMAGED checksum\n")]);
    let arguments = ["export", "--addr", &addr, "--output", file.to_str().unwrap()];
    end(verb().args(arguments), "").refuses(3, "DAMAGED");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
