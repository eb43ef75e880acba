//! What the server would run by, for those that only look: the settings of the environment and the configuration file, and
//! everything that is wrong with them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches};

use super::arguments::Settings;
use super::config::{Config, ConfigError, read_file};
use crate::tls::Tls;

/// See the module.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) data: PathBuf,
    pub(crate) backups: Option<PathBuf>,
    pub(crate) listen: String,
    /// Where HTTP is served, if it is.
    pub(crate) http: Option<String>,
    pub(crate) allow_remote: bool,
    pub(crate) has_tls: bool,
    pub(crate) segment_bytes: u64,
    pub(crate) reserve_bytes: u64,
    pub(crate) connections_max: u32,
    pub(crate) max_clock_jump_ms: u64,
}

impl Setup {
    /// What `larder serve` would run by with this configuration file and this directory, where they are given; and what keeps
    /// it from starting so. Settings that cannot be used are left out.
    pub(crate) fn of(file: Option<&Path>, data: Option<&Path>) -> (Option<Setup>, Vec<String>) {
        let mut faults = Vec::new();
        let environment = from_environment().unwrap_or_else(|text| {
            faults.push(text);
            Settings::default()
        });
        let from_file = match file.map(|file| (file, read_file(file))) {
            None => Settings::default(),
            Some((_, Ok(settings))) => settings,
            Some((file, Err(error))) => {
                faults.extend(faults_of(file, &error));
                Settings::default()
            }
        };
        let given = Settings { data: data.map(Path::to_owned), ..Settings::default() };
        let settings = given.or(environment).or(from_file);
        let data = settings.data.clone();
        let config = Config::from_settings(settings).or_else(|error| {
            faults.push(error.to_string());
            Config::from_settings(Settings { data, ..Settings::default() })
        });
        if let Some(Err(error)) = config.as_ref().ok().and_then(|config| config.tls.clone()).map(Tls::load) {
            faults.push(error.to_string());
        }
        (config.ok().map(Setup::from), faults)
    }
}

impl From<Config> for Setup {
    fn from(config: Config) -> Setup {
        Setup {
            data: config.data,
            backups: config.backups,
            listen: config.listen,
            http: config.http,
            has_tls: config.tls.is_some(),
            allow_remote: config.allow_remote,
            segment_bytes: config.segment_bytes,
            reserve_bytes: config.reserve_bytes,
            connections_max: config.connections_max,
            max_clock_jump_ms: u64::try_from(config.max_clock_jump.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The settings in the environment, read as the server reads them.
fn from_environment() -> Result<Settings, String> {
    let command = Settings::augment_args(Command::new("larder serve").no_binary_name(true));
    let first_line = |error: clap::Error| {
        let text = error.render().to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    };
    let matches = command.try_get_matches_from([""; 0]).map_err(first_line)?;
    Settings::from_arg_matches(&matches).map_err(first_line)
}

/// Everything that is wrong with a configuration file. Its reader stops at the first.
fn faults_of(file: &Path, error: &ConfigError) -> Vec<String> {
    let unknown = fs::read_to_string(file).map(|text| unknown_names(&text)).unwrap_or_default();
    if unknown.is_empty() {
        return vec![error.to_string()];
    }
    let told = unknown
        .iter()
        .map(|name| format!("the configuration file {} has {name:?}, which is no setting", file.display()));
    told.collect()
}

/// The names in a configuration file that are those of no setting.
fn unknown_names(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let command = Settings::augment_args(Command::new("larder serve"));
    let is_known = |name: &String| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    table.keys().filter(|name| !is_known(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Setup, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("larder.toml");
        fs::write(&file, text).unwrap();
        let (setup, faults) = Setup::of(Some(&file), Some(Path::new("/d")));
        (setup.unwrap(), faults)
    }

    #[test]
    fn settings_are_those_that_the_server_would_take() {
        let text = "listen = '0.0.0.0:1'\nallow-remote = true\nmax-clock-jump = '1d'\ndata = '/other'";
        let (setup, faults) = of(text);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!((setup.listen.as_str(), setup.allow_remote), ("0.0.0.0:1", true));
        assert_eq!((setup.data.as_path(), setup.max_clock_jump_ms), (Path::new("/d"), 86_400_000));
        assert_eq!(setup.backups.as_deref(), Some(Path::new("/d-backups")));
    }

    #[test]
    fn every_fault_is_told() {
        let (_, faults) = of("listn = '0.0.0.0:1'\nthreads = 2\nlog_level = 'info'");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].ends_with("has \"listn\", which is no setting"), "{faults:?}");
        assert!(faults[1].contains("\"log_level\""), "{faults:?}");
        for text in ["threads = 'many'", "threads = "] {
            assert!(of(text).1[0].contains("cannot be used"), "{text}");
        }
        let (setup, faults) = of("segment-bytes = 5");
        assert!(faults[0].starts_with("segment-bytes is 5"), "{faults:?}");
        assert_eq!((setup.data.as_path(), setup.segment_bytes), (Path::new("/d"), 256 << 20));
        let (_, faults) = Setup::of(Some(Path::new("/nowhere/larder.toml")), None);
        assert!(faults[0].starts_with("cannot read the configuration file"), "{faults:?}");
    }
}
