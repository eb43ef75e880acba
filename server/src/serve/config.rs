//! The configuration that the server runs by: every setting has its value, and every value is within its bounds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_engine::Durability;
use thiserror::Error;

use super::arguments::{Arguments, Level, Settings};

const MIB: u64 = 1024 * 1024;
const SEGMENT_BYTES_MIN: u64 = MIB;
const SEGMENT_BYTES_MAX: u64 = 2048 * MIB;
const RESERVE_BYTES_MAX: u64 = 2048 * MIB;
const CONNECTIONS_MAX: u32 = 1_000_000;
const THREADS_MAX: u16 = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) data: PathBuf,
    /// Where backups go; nowhere, if that was not said and cannot be derived.
    pub(super) backups: Option<PathBuf>,
    pub(super) listen: String,
    pub(super) allow_remote: bool,
    pub(super) durability: Durability,
    pub(super) sync_interval: Duration,
    pub(super) segment_bytes: u64,
    pub(super) reserve_bytes: u64,
    pub(super) feed_retention_bytes: u64,
    pub(super) max_clock_jump: Duration,
    pub(super) accept_clock: bool,
    pub(super) connections_max: u32,
    pub(super) shutdown_timeout: Duration,
    /// As many as there are processors, if `None`.
    pub(super) threads: Option<usize>,
    pub(super) log: String,
}

/// Why there is no configuration to run by.
#[derive(Debug, Error)]
pub(super) enum ConfigError {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the configuration file {} cannot be used: {text}", path.display())]
    Parse { path: PathBuf, text: String },
    #[error("{name} is {value}, but must be from {min} to {max}")]
    Range { name: &'static str, value: u64, min: u64, max: u64 },
}

impl Config {
    /// Puts the configuration together: flag, else environment, else file, else default.
    pub(super) fn resolve(arguments: Arguments) -> Result<Config, ConfigError> {
        let Arguments { config, settings } = arguments;
        let file = match config {
            Some(path) => read_file(&path)?,
            None => Settings::default(),
        };
        Config::from_settings(settings.or(file))
    }

    pub(super) fn from_settings(settings: Settings) -> Result<Config, ConfigError> {
        let segment_bytes = settings.segment_bytes.unwrap_or(256 * MIB);
        in_range("segment-bytes", segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)?;
        let reserve_bytes = settings.reserve_bytes.unwrap_or(8 * MIB);
        in_range("reserve-bytes", reserve_bytes, 0, RESERVE_BYTES_MAX)?;
        let connections_max = settings.max_connections.unwrap_or(10_000);
        in_range("max-connections", connections_max.into(), 1, CONNECTIONS_MAX.into())?;
        if let Some(threads) = settings.threads {
            in_range("threads", threads.into(), 1, THREADS_MAX.into())?;
        }
        let data = settings.data.unwrap_or_else(|| PathBuf::from("./larder-data"));
        Ok(Config {
            backups: settings.backups.or_else(|| beside(&data)),
            data,
            listen: settings.listen.unwrap_or_else(|| "127.0.0.1:5273".to_owned()),
            allow_remote: settings.allow_remote.unwrap_or(false),
            durability: match settings.durability {
                None | Some(Level::Durable) => Durability::Durable,
                Some(Level::Buffered) => Durability::Buffered,
            },
            sync_interval: settings.sync_interval.map_or(Duration::from_secs(1), |interval| interval.0),
            segment_bytes,
            reserve_bytes,
            feed_retention_bytes: settings.feed_retention.unwrap_or(64 * MIB),
            max_clock_jump: settings.max_clock_jump.map_or(Duration::from_secs(366 * 86_400), |jump| jump.0),
            accept_clock: settings.accept_clock.unwrap_or(false),
            connections_max,
            shutdown_timeout: settings
                .shutdown_timeout
                .map_or(Duration::from_secs(10), |interval| interval.0),
            threads: settings.threads.map(usize::from),
            log: settings.log.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

/// The directory for backups of a store: beside it, since there the files can be shared.
fn beside(data: &Path) -> Option<PathBuf> {
    let data = std::path::absolute(data).ok()?;
    let mut name = data.file_name()?.to_owned();
    name.push("-backups");
    Some(data.with_file_name(name))
}

fn in_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Range { name, value, min, max }) }
}

pub(super) fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let text =
        fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_owned(), text: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn everything_has_a_default() {
        let config = Config::from_settings(Settings::default()).unwrap();
        assert_eq!(config.data, Path::new("./larder-data"));
        assert_eq!(config.listen, "127.0.0.1:5273");
        assert_eq!(config.durability, Durability::Durable);
        assert_eq!((config.segment_bytes, config.feed_retention_bytes), (268_435_456, 67_108_864));
        assert_eq!((config.reserve_bytes, config.connections_max), (8_388_608, 10_000));
        assert_eq!((config.max_clock_jump, config.accept_clock), (Duration::from_secs(366 * 86_400), false));
    }

    #[test]
    fn what_comes_first_wins() {
        let flags = settings("listen = '127.0.0.1:1'");
        let file = settings("listen = '127.0.0.1:2'\ndurability = 'buffered'\nsync-interval = '20ms'");
        let config = Config::from_settings(flags.or(file)).unwrap();
        assert_eq!(config.listen, "127.0.0.1:1");
        assert_eq!(config.durability, Durability::Buffered);
        assert_eq!(config.sync_interval, Duration::from_millis(20));
    }

    #[test]
    fn backups_go_beside_the_data() {
        let backups = |text: &str| Config::from_settings(settings(text)).unwrap().backups;
        assert_eq!(backups("data = '/var/lib/larder/'").unwrap(), Path::new("/var/lib/larder-backups"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(backups("").unwrap(), here.join("larder-data-backups"));
        assert_eq!(backups("data = '.'").unwrap(), beside(&here).unwrap());
        assert_eq!(backups("data = '/'"), None);
        assert_eq!(backups("data = '/'\nbackups = '/b'").unwrap(), Path::new("/b"));
    }

    #[test]
    fn bounds_are_told() {
        let error = Config::from_settings(settings("segment-bytes = 1000")).unwrap_err();
        assert_eq!(error.to_string(), "segment-bytes is 1000, but must be from 1048576 to 2147483648");
        assert!(Config::from_settings(settings("threads = 0")).is_err());
        assert!(Config::from_settings(settings("max-connections = 0")).is_err());
    }
}
