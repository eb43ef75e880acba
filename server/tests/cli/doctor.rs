//! `larder doctor`: at setups that are sound, and at ones that are not; without a trace.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Ended, Larder, end, verb};

/// What the machine of the tests may lack, whatever the setup: nothing is said of these.
const OF_THE_MACHINE: [&str; 5] = ["file system", "room", "sync", "memory", "descriptors"];

/// The findings that are no `ok`, but for those about the machine, as level and check and what is wrong.
fn findings(ended: &Ended) -> Vec<(&str, &str, &str)> {
    assert!(matches!(ended.code, 0 | 1), "{ended:?}");
    let lines = ended.stdout.lines().map(|line| {
        let [level, check, what, advice] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(advice.is_empty(), level == "ok", "{line}");
        (level, check, what)
    });
    lines.filter(|(level, check, _)| *level != "ok" && !OF_THE_MACHINE.contains(check)).collect()
}

fn wrong<'e>(ended: &'e Ended, check: &str) -> &'e str {
    let found = findings(ended).into_iter().find(|(level, of, _)| *level == "wrong" && *of == check);
    assert_eq!(ended.code, 1, "{ended:?}");
    found.unwrap_or_else(|| panic!("nothing wrong with {check}: {ended:?}")).2
}

fn doctor(arguments: &[&str]) -> Ended {
    let mut command = verb();
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LARDER_")) {
        command.env_remove(name);
    }
    if !arguments.contains(&"--config") {
        // Where nobody listens.
        command.env("LARDER_LISTEN", "127.0.0.1:1");
    }
    end(command.arg("doctor").args(arguments), "")
}

/// All files with their contents and the times of their last change.
fn contents(directory: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let changed = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().into_string().unwrap(), (fs::read(entry.path()).unwrap(), changed))
    };
    fs::read_dir(directory).unwrap().map(entry).collect()
}

#[test]
fn a_sound_setup_and_one_without_a_server() {
    let larder = Larder::start();
    larder.done(&["set", "a", "1"]);
    let (data, addr) = (larder.path("data"), larder.server.address.to_string());
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let ended = doctor(&["--data", &data, "--server", &addr]);
    let found = findings(&ended);
    assert!(found.iter().all(|(level, ..)| *level == "note"), "{ended:?}");
    assert!(found.iter().any(|(_, check, _)| *check == "backups"), "{ended:?}");
    let open = format!("ok\tstore\topen in process {}: ", larder.server.pid());
    assert!(ended.stdout.contains(&open), "{ended:?}");
    assert!(ended.stdout.contains(&format!("ok\tserver\t{addr} answers, version ")), "{ended:?}");

    let Larder { server, directory } = larder;
    assert!(server.stop().success());
    let before = contents(Path::new(&data));
    let ended = doctor(&["--data", &data]);
    assert_eq!(contents(Path::new(&data)), before, "it changes nothing");
    assert!(ended.stdout.contains("ok\tstore\tclosed in order: "), "{ended:?}");
    assert!(wrong(&doctor(&["--data", &data, "--addr", &addr]), "server").contains("cannot connect"));
    let objects = doctor(&["--data", &data, "--json"]).stdout;
    assert!(objects.starts_with("{\"check\":\"settings\",\"level\":\"ok\",\"what\":"), "{objects}");
    assert!(objects.lines().last().unwrap().starts_with("{\"check\":\"summary\",\"wrong\":"), "{objects}");
    let nowhere = directory.path().join("nowhere");
    let ended = doctor(&["--data", nowhere.to_str().unwrap()]);
    assert!(findings(&ended).iter().all(|(level, ..)| *level == "note"), "{ended:?}");
    assert!(!nowhere.exists());
    assert_eq!(doctor(&["--ns", "n"]).code, 2);
}

#[test]
fn keys_decide_who_may_listen_where() {
    let larder = Larder::start();
    let (data, addr) = (larder.path("data"), larder.server.address.to_string());
    let config = larder.path("larder.toml");
    fs::write(&config, "listen = '0.0.0.0:5273'\n").unwrap();
    let run = || doctor(&["--data", &data, "--config", &config, "--addr", &addr]);
    assert!(wrong(&run(), "listen").contains("no access keys"));
    let created = larder.done(&["key", "create", "--scope", "admin", "--json"]);
    let token = created.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap();
    let ended = run();
    let listen = "other machines can connect to 0.0.0.0:5273, and tokens and data go unencrypted";
    assert!(findings(&ended).contains(&("note", "listen", listen)), "{ended:?}");
    assert!(findings(&ended).contains(&("note", "server", "it does not tell its statistics")), "{ended:?}");
    let ended = doctor(&["--data", &data, "--config", &config, "--addr", &addr, "--token", token]);
    assert!(!findings(&ended).iter().any(|(_, check, _)| *check == "server"), "{ended:?}");
    fs::write(&config, "tls-cert = '/nowhere/cert.pem'\ntls-key = '/nowhere/key.pem'\n").unwrap();
    assert!(wrong(&run(), "settings").contains("/nowhere/"));
}

#[test]
fn faults_are_found() {
    let larder = Larder::start();
    larder.done(&["set", "a", "1"]);
    larder.done(&["backup", "monday"]);
    let (data, backup) = (larder.path("data"), larder.path("data-backups/monday"));
    // The store is in use, and nothing answers where the server should be.
    assert!(
        wrong(&doctor(&["--data", &data, "--addr", "127.0.0.1:1"]), "server").contains("open in process")
    );
    let Larder { server, directory } = larder;
    assert!(server.stop().success());

    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(wrong(&doctor(&["--data", &data]), "directory").contains("mode 777"));
    let within = format!("{backup}/data");
    assert!(wrong(&doctor(&["--data", &within]), "directory").contains("within the backup"));
    assert!(wrong(&doctor(&["--data", &backup]), "store").contains("holds a backup"));

    let config = directory.path().join("larder.toml");
    fs::write(&config, "listn = '1'\nmax-conections = 5\n").unwrap();
    let config = config.to_str().unwrap();
    let ended = doctor(&["--data", &data, "--config", config]);
    let told: Vec<_> = findings(&ended).into_iter().filter(|(_, check, _)| *check == "settings").collect();
    assert!(
        told.len() == 2 && told[0].2.contains("listn") && told[1].2.contains("max-conections"),
        "{ended:?}"
    );
    fs::write(config, "listen = '0.0.0.0:5273'\nallow-remote = true\nbackups = '/dev/null'\n").unwrap();
    let ended = doctor(&["--data", &data, "--config", config]);
    assert!(wrong(&ended, "listen").contains("0.0.0.0:5273"));
    assert!(wrong(&ended, "backups").contains("no directory"));

    let segment = Path::new(&data).join("0000000001.seg");
    fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(100).unwrap();
    assert!(wrong(&doctor(&["--data", &data]), "store").contains("0000000001.seg"));
    fs::write(Path::new(&data).join("MANIFEST"), "nonsense").unwrap();
    assert!(wrong(&doctor(&["--data", &data]), "store").contains("MANIFEST"));
}
