//! The configuration that the server runs by: every setting has its value, and every value is within its bounds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::uri::Authority;
use larder_engine::Durability;
use thiserror::Error;

use crate::tls::TlsFiles;

use super::arguments::{Arguments, Level, LogFormat, Settings};
use super::units::Words;
use crate::http::Guard;

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
    /// Where HTTP is served, if it is.
    pub(super) http: Option<String>,
    pub(super) http_guard: Guard,
    pub(super) allow_remote: bool,
    pub(super) durability: Durability,
    pub(super) sync_interval: Duration,
    pub(super) segment_bytes: u64,
    pub(super) reserve_bytes: u64,
    pub(super) feed_retention_bytes: u64,
    pub(super) max_clock_jump: Duration,
    pub(super) accept_clock: bool,
    pub(super) auth_timeout: Duration,
    pub(super) connections_max: u32,
    pub(super) tls: Option<TlsFiles>,
    /// As long as it likes, if `None`.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) line_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) shutdown_timeout: Duration,
    /// As many as there are processors, if `None`.
    pub(super) threads: Option<usize>,
    pub(super) metrics_public: bool,
    pub(super) log_format: LogFormat,
    pub(super) log: String,
}

/// Why there is no configuration to run by.
#[derive(Debug, Error)]
pub(super) enum ConfigError {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the configuration file {} cannot be used: {text}", path.display())]
    Parse { path: PathBuf, text: String },
    #[error("{0:?} is no origin for http-cors; write it as https://app.example, without a path")]
    Origin(String),
    #[error("{name} is {value}, but must be from {min} to {max}")]
    Range { name: &'static str, value: u64, min: u64, max: u64 },
    #[error("{given} is set and {missing} is not; TLS needs both, and plain text none")]
    HalfTls { given: &'static str, missing: &'static str },
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
            http: Some(settings.http.unwrap_or_else(|| "127.0.0.1:5274".to_owned()))
                .filter(|http| http != "off"),
            http_guard: Guard {
                origins: origins(settings.http_cors.unwrap_or_default())?,
                hosts: settings.http_host.unwrap_or_default().0,
            },
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
            auth_timeout: settings.auth_timeout.map_or(Duration::from_secs(10), |interval| interval.0),
            connections_max,
            tls: tls_files(settings.tls_cert, settings.tls_key)?,
            idle_timeout: settings.idle_timeout.map(|interval| interval.0),
            line_timeout: settings.line_timeout.map_or(Duration::from_secs(30), |interval| interval.0),
            write_timeout: settings.write_timeout.map_or(Duration::from_secs(60), |interval| interval.0),
            shutdown_timeout: settings
                .shutdown_timeout
                .map_or(Duration::from_secs(10), |interval| interval.0),
            threads: settings.threads.map(usize::from),
            metrics_public: settings.metrics_public.unwrap_or(false),
            log_format: settings.log_format.unwrap_or_default(),
            log: settings.log.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

fn tls_files(certificates: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificates, key) {
        (Some(certificates), Some(key)) => Ok(Some(TlsFiles { certificates, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfTls { given: "tls-cert", missing: "tls-key" }),
        (None, Some(_)) => Err(ConfigError::HalfTls { given: "tls-key", missing: "tls-cert" }),
    }
}

/// The directory for backups of a store: beside it, since there the files can be shared.
fn beside(data: &Path) -> Option<PathBuf> {
    let data = std::path::absolute(data).ok()?;
    let mut name = data.file_name()?.to_owned();
    name.push("-backups");
    Some(data.with_file_name(name))
}

/// Origins as browsers write them: scheme and host, and a port if it is not the scheme's own.
fn origins(words: Words) -> Result<Vec<HeaderValue>, ConfigError> {
    let is_origin = |word: &String| {
        let host = word.strip_prefix("http://").or_else(|| word.strip_prefix("https://"));
        host.is_some_and(|host| host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@')))
    };
    let origin = |word: String| match HeaderValue::try_from(&word) {
        Ok(origin) if is_origin(&word) => Ok(origin),
        _ => Err(ConfigError::Origin(word)),
    };
    words.0.into_iter().map(origin).collect()
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
        assert_eq!(config.http.as_deref(), Some("127.0.0.1:5274"));
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
    fn http_can_be_off_and_open_to_origins() {
        let config = |text: &str| Config::from_settings(settings(text));
        assert_eq!(config("http = 'off'").unwrap().http, None);
        let guard = config("http-cors = 'https://a.example, http://b.example:1'").unwrap().http_guard;
        assert_eq!(guard.origins, ["https://a.example", "http://b.example:1"]);
        for origin in ["*", "a.example", "https://a.example/", "ftp://a", "https://u@a.example", "https://"] {
            assert!(config(&format!("http-cors = '{origin}'")).is_err(), "{origin}");
        }
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
        let error = Config::from_settings(settings("tls-cert = '/c'")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tls-cert is set and tls-key is not; TLS needs both, and plain text none"
        );
        assert!(Config::from_settings(settings("tls-key = '/k'")).is_err());
    }
}
