//! What the command line says about itself: help, completions and manual pages, all from one definition.

use std::fs;

use super::{Ended, end, verb};

fn run(arguments: &[&str]) -> Ended {
    end(verb().args(arguments), "")
}

/// The verbs, as `larder help` lists them.
fn verbs() -> Vec<String> {
    let help = run(&["help"]).stdout;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_verb_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man/man1");
    let verbs = verbs();
    assert!(verbs.len() > 20 && verbs.contains(&"doctor".to_owned()), "{verbs:?}");
    assert_eq!(
        run(&["man", pages.to_str().unwrap()]),
        Ended { code: 0, stdout: String::new(), stderr: String::new() }
    );
    let mut names: Vec<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<_> = verbs.iter().map(|verb| format!("larder-{verb}.1")).collect();
    expected.push("larder.1".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    for verb in &verbs {
        let page = fs::read_to_string(pages.join(format!("larder-{verb}.1"))).unwrap();
        assert!(page.contains(&format!(".TH larder-{verb} 1 ")), "{page}");
        assert!(page.contains(&format!(".SH NAME\nlarder\\-{}", verb.replace('-', "\\-"))), "{page}");
    }
    let page = fs::read_to_string(pages.join("larder-verify.1")).unwrap();
    assert!(
        page.contains("\\-\\-json") && !page.contains("\\-\\-addr"),
        "what it has not got is not told: {page}"
    );
    let main = fs::read_to_string(pages.join("larder.1")).unwrap();
    assert_eq!(run(&["man"]).stdout, main);
    assert!(verbs.iter().all(|verb| main.contains(&format!("larder\\-{verb}(1)"))), "{main}");
}

#[test]
fn completions_know_the_verbs_and_their_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, 0);
        for word in ["doctor", "if-absent", "all-namespaces", "max-clock-jump"] {
            assert!(script.stdout.contains(word), "{word} for {shell}");
        }
    }
    assert_eq!(run(&["completions", "csh"]).code, 2);
}

#[test]
fn completions_for_bash_complete() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("larder.bash");
    fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    let complete = |words: &str| {
        let count = words.split(' ').count() - 1;
        let program = format!(
            "source {} && COMP_WORDS=({words}) COMP_CWORD={count} && \
             _larder larder \"${{COMP_WORDS[{count}]}}\" \"${{COMP_WORDS[{count} - 1]}}\" && echo \"${{COMPREPLY[*]}}\"",
            script.display()
        );
        end(std::process::Command::new("bash").args(["-c", &program]), "").stdout
    };
    assert_eq!(complete("larder doc"), "doctor\n");
    assert_eq!(complete("larder set --if-"), "--if-absent --if-present --if-version\n");
}

#[test]
fn every_option_has_its_help() {
    let mut verbs = verbs();
    verbs.push("help".to_owned());
    for verb in verbs {
        let help = if verb == "help" { run(&["help"]).stdout } else { run(&["help", &verb]).stdout };
        let mut lines = help.lines().peekable();
        let mut options = 0;
        while let Some(line) = lines.next() {
            let start = line.trim_start();
            let is_indented = (2..=6).contains(&(line.len() - start.len()));
            let is_argument = is_indented && start.starts_with(['-', '<', '[']);
            if !is_argument {
                continue;
            }
            options += 1;
            // Beside it, or on the next line.
            let beside = start.split_once("  ").is_some_and(|(_, help)| !help.trim().is_empty());
            let below =
                lines.peek().is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
            assert!(beside || below, "larder {verb}: no help for {start:?} in\n{help}");
        }
        assert!(options > 0, "larder {verb}:\n{help}");
    }
}
