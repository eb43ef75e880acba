//! `larder org` and `larder key`, at a server and on a directory; and how the other verbs authenticate.

use std::fs;

use super::{Ended, Larder, end, verb};
use crate::support::{Client, Server, serve};

/// Lines of JSON objects, without what differs from one run to the next.
fn fixed(output: &str) -> Vec<String> {
    let lines = output.lines().map(|line| {
        let fields = line.trim_matches(['{', '}']).split(",\"");
        let names = ["id", "token", "created_at"];
        let keeps = |field: &&str| {
            let name = field.trim_start_matches('"').split('"').next().unwrap_or_default();
            !names.contains(&name)
        };
        fields.filter(keeps).collect::<Vec<_>>().join(",")
    });
    lines.collect()
}

fn word(line: &str, name: &str) -> String {
    line.split_once(&format!("\"{name}\":\"")).unwrap().1.split('"').next().unwrap().to_owned()
}

/// Does the same by way of `run`, wherever that leads. Gives what it was answered, and the admin's token.
fn manage(mut run: impl FnMut(&[&str], &str) -> Ended) -> (Vec<Ended>, String) {
    let mut ended = Vec::new();
    let mut step = |arguments: &[&str], token: &str| {
        let done = run(&[arguments, &["--json"]].concat(), token);
        ended.push(Ended { stdout: fixed(&done.stdout).join("\n"), ..done.clone() });
        done.stdout
    };
    step(&["key", "create", "--name", "first"], "");
    let admin = word(&step(&["key", "create", "--scope", "admin", "--name", "first"], ""), "token");
    step(&["org", "create", "acme", "--plan", "team", "--entries", "700", "--rate", "9"], &admin);
    step(&["org", "create", "acme"], &admin);
    step(&["org", "create", "Not A Name"], &admin);
    step(&["org", "set-plan", "acme", "starter", "--rate", "-"], &admin);
    step(&["org", "set-plan", "acme", "--value-bytes", "100"], &admin);
    step(&["org", "set-plan", "nobody", "free"], &admin);
    let key =
        ["key", "create", "--org", "acme", "--scope", "read_only", "--namespace", "a,b", "--namespace", "c*"];
    let id = word(&step(&key, &admin), "id");
    step(&["key", "create", "--org", "nobody"], &admin);
    step(&["key", "list"], &admin);
    step(&["key", "list", "--org", "acme"], &admin);
    step(&["key", "revoke", &id], &admin);
    step(&["key", "revoke", &id], &admin);
    step(&["org", "create", "other"], &admin);
    step(&["org", "delete", "other"], &admin);
    step(&["org", "delete", "default"], &admin);
    step(&["org", "list"], &admin);
    // Ids differ.
    let hide = |ended: Ended| Ended { stderr: ended.stderr.replace(&id, "ID"), ..ended };
    (ended.into_iter().map(hide).collect(), admin)
}

#[test]
fn a_directory_is_managed_as_a_server_is() {
    let larder = Larder::start();
    let (online, _) = manage(|arguments, token| {
        let addr = larder.server.address.to_string();
        let mut command = verb();
        if !token.is_empty() {
            command.env("LARDER_TOKEN", token);
        }
        end(command.args(arguments).args(["--addr", &addr]), "")
    });
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("new");
    let data = data.to_str().unwrap();
    let (offline, admin) = manage(|arguments, _| end(verb().args(arguments).args(["--data", data]), ""));
    assert_eq!(online, offline);
    assert_eq!(online.iter().filter(|ended| ended.code == 0).count(), 11, "{online:?}");
    assert!(online.iter().all(|ended| ended.code == 0 || ended.code == 2), "{online:?}");

    // With that, a server may listen where others can connect.
    let mut command = serve();
    let server = Server::spawn(command.args(["--data", data, "--listen", "0.0.0.0:0", "--log=error"]));
    let mut client = Client::connect(([127, 0, 0, 1], server.address.port()).into());
    assert!(client.ask("GET a").starts_with("ERR NOAUTH "));
    assert_eq!(client.ask(&format!("AUTH {admin}")), "OK");
    assert_eq!(client.ask("GET a"), "NIL");
    let in_use = end(verb().args(["org", "list", "--data", data]), "");
    in_use.refuses(3, "in use");
}

#[test]
fn a_pipe_gets_the_token_and_every_verb_takes_it() {
    let larder = Larder::start();
    let token = larder.done(&["key", "create", "--scope", "admin"]);
    assert!(token.starts_with("lk_") && token.lines().count() == 1, "{token}");
    larder.run(&["get", "a"]).refuses(3, "authenticate first");
    larder.run(&["get", "a", "--token", "lk_nonsense"]).refuses(3, "there is no such access key");
    let token = token.trim_end();
    assert_eq!(larder.done(&["--token", token, "set", "a", "1"]), "2\t-\n");
    let file = larder.path("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    assert_eq!(larder.done(&["get", "a", "--token-file", &file]), "1\n");
    larder.run(&["get", "a", "--token-file", &larder.path("missing")]).refuses(2, "missing");
    assert_eq!(larder.run(&["get", "a", "--token-file", &file, "--token", token]).code, 2);
    let addr = larder.server.address.to_string();
    for (name, value) in [("LARDER_TOKEN", token), ("LARDER_TOKEN_FILE", file.as_str())] {
        let ended = end(verb().env(name, value).args(["get", "a", "--addr", &addr]), "");
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "1\n"), "{ended:?}");
        // What stands on the command line comes first; nothing is no token.
        let arguments = ["get", "a", "--addr", &addr, "--token", "lk_nonsense"];
        end(verb().env(name, value).args(arguments), "").refuses(3, "there is no such access key");
        end(verb().env(name, "").args(["get", "a", "--addr", &addr]), "").refuses(3, "authenticate first");
    }
    let listed = larder.done(&["key", "list", "--token", token]);
    assert_eq!(listed.split('\t').skip(1).take(2).collect::<Vec<_>>(), ["default", "admin"]);
    assert_eq!(larder.done(&["org", "list", "--token", token]), "default\tscale\t1\t-\t-\t-\n");
    let help = end(verb().args(["get", "--help"]).env("LARDER_TOKEN", token), "");
    assert!(!help.stdout.contains(token), "{}", help.stdout);
    larder.run(&["org", "create", "a", "--plan", "gold", "--token", token]).refuses(2, "there is no plan");
}
