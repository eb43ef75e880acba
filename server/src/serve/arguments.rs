//! The settings of the server, each declared once for the command line, the environment and the configuration file.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::units::{Interval, Words};

/// What stands on the command line or in the environment.
#[derive(Debug, Args)]
#[command(
    after_help = "A setting is taken from its flag, else from its environment variable, else from the \
    configuration file (TOML, the same names without the dashes in front), else it has its default."
)]
pub(crate) struct Arguments {
    /// Configuration file, in TOML: `listen = "127.0.0.1:5273"`, `sync-interval = "1s"`, …
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// The settings, none of which must be given.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Settings {
    /// Directory of the store; created if missing [default: ./larder-data]
    #[arg(long, env = "LARDER_DATA", hide_env_values = true, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,

    /// Directory under which BACKUP makes its backups, best on the same file system as the data, and not within it
    /// [default: beside the data, its name and -backups]
    #[arg(long, env = "LARDER_BACKUPS", hide_env_values = true, value_name = "DIR")]
    pub(super) backups: Option<PathBuf>,

    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:5273]
    #[arg(long, env = "LARDER_LISTEN", hide_env_values = true, value_name = "HOST:PORT")]
    pub(super) listen: Option<String>,

    /// Address to serve HTTP at, or off; port 0 takes a free one [default: 127.0.0.1:5274]
    #[arg(long, env = "LARDER_HTTP", hide_env_values = true, value_name = "HOST:PORT|off")]
    pub(super) http: Option<String>,

    /// Origins whose pages may use HTTP, separated by commas, as `https://app.example,http://localhost:3000` [default: none]
    #[arg(long, env = "LARDER_HTTP_CORS", hide_env_values = true, value_name = "ORIGIN,…")]
    pub(super) http_cors: Option<Words>,

    /// Names that HTTP answers to while there are no access keys, besides its address and localhost, separated by commas
    /// [default: none]
    #[arg(long, env = "LARDER_HTTP_HOST", hide_env_values = true, value_name = "NAME,…")]
    pub(super) http_host: Option<Words>,

    /// Listen where other machines can connect though there are no access keys, and anybody who can connect may read and
    /// write everything in the organization `default` [default: false]
    #[arg(long, env = "LARDER_ALLOW_REMOTE", hide_env_values = true, value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new())]
    pub(super) allow_remote: Option<bool>,

    /// When a write is acknowledged: once it is on stable storage, or once the operating system has it
    /// [default: durable]
    #[arg(long, env = "LARDER_DURABILITY", hide_env_values = true, value_name = "LEVEL")]
    pub(super) durability: Option<Level>,

    /// At `buffered`, the time between two syncs: what a power cut can lose; as 500ms, 1s, 5m [default: 1s]
    #[arg(long, env = "LARDER_SYNC_INTERVAL", hide_env_values = true, value_name = "TIME")]
    pub(super) sync_interval: Option<Interval>,

    /// Size of a file of the log, in bytes, from 1 MiB to 2 GiB [default: 268435456]
    #[arg(long, env = "LARDER_SEGMENT_BYTES", hide_env_values = true, value_name = "BYTES")]
    pub(super) segment_bytes: Option<u64>,

    /// Disk space kept so that deletes go on when the disk is full, in bytes; 0 keeps none [default: 8388608]
    #[arg(long, env = "LARDER_RESERVE_BYTES", hide_env_values = true, value_name = "BYTES")]
    pub(super) reserve_bytes: Option<u64>,

    /// How much of the newest log is kept for watchers to resume from, in bytes [default: 67108864]
    #[arg(long, env = "LARDER_FEED_RETENTION", hide_env_values = true, value_name = "BYTES")]
    pub(super) feed_retention: Option<u64>,

    /// How far the machine's clock may be ahead of the last time that the store knows of when the server starts; as 12h,
    /// 366d [default: 366d]
    #[arg(long, env = "LARDER_MAX_CLOCK_JUMP", hide_env_values = true, value_name = "TIME")]
    pub(super) max_clock_jump: Option<Interval>,

    /// Start though the machine's clock is further ahead than that. For one start, when the clock is right: everything
    /// whose deadline has passed by it expires, and the store's time never goes back behind it [default: false]
    #[arg(long, env = "LARDER_ACCEPT_CLOCK", hide_env_values = true, value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new())]
    pub(super) accept_clock: Option<bool>,

    /// How long a client may stay without authenticating, where there are access keys [default: 10s]
    #[arg(long, env = "LARDER_AUTH_TIMEOUT", hide_env_values = true, value_name = "TIME")]
    pub(super) auth_timeout: Option<Interval>,

    /// Most connections at a time; more are turned away [default: 10000]
    #[arg(long, env = "LARDER_MAX_CONNECTIONS", hide_env_values = true, value_name = "NUMBER")]
    pub(super) max_connections: Option<u32>,

    /// File with the server's certificate, and those up to the one that clients trust, in PEM: with it and --tls-key the
    /// port speaks TLS alone; both are read again on SIGHUP
    #[arg(long, env = "LARDER_TLS_CERT", hide_env_values = true, value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,

    /// File with the private key of that certificate, in PEM
    #[arg(long, env = "LARDER_TLS_KEY", hide_env_values = true, value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,

    /// Time for which a client may say nothing before its connection is closed, unless it watches [default: any]
    #[arg(long, env = "LARDER_IDLE_TIMEOUT", hide_env_values = true, value_name = "TIME")]
    pub(super) idle_timeout: Option<Interval>,

    /// Time that a line may take from its first byte to its last, or a TLS handshake [default: 30s]
    #[arg(long, env = "LARDER_LINE_TIMEOUT", hide_env_values = true, value_name = "TIME")]
    pub(super) line_timeout: Option<Interval>,

    /// Time for which a client may take nothing of the replies that are ready for it [default: 60s]
    #[arg(long, env = "LARDER_WRITE_TIMEOUT", hide_env_values = true, value_name = "TIME")]
    pub(super) write_timeout: Option<Interval>,

    /// Time in which the server stops: half of it at most for open connections, the rest for the store [default: 10s]
    #[arg(long, env = "LARDER_SHUTDOWN_TIMEOUT", hide_env_values = true, value_name = "TIME")]
    pub(super) shutdown_timeout: Option<Interval>,

    /// Threads that serve connections [default: one for each processor]
    #[arg(long, env = "LARDER_THREADS", hide_env_values = true, value_name = "NUMBER")]
    pub(super) threads: Option<u16>,

    /// Tell /metrics to everybody who can connect, without a key; but for what each organization has, which is for the
    /// operator alone [default: false]
    #[arg(long, env = "LARDER_METRICS_PUBLIC", hide_env_values = true, value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new())]
    pub(super) metrics_public: Option<bool>,

    /// How it is logged: text for people, or json, an object a line [default: text]
    #[arg(long, env = "LARDER_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,

    /// What is logged to standard error: error, warn, info, debug, trace, or by module, as info,larder::serve=debug [default: info]
    #[arg(long, env = "LARDER_LOG", hide_env_values = true, value_name = "FILTER")]
    pub(super) log: Option<String>,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// Once it is on stable storage: a power cut loses nothing
    Durable,
    /// Once the operating system has it: a power cut loses at most the last sync-interval
    Buffered,
}

/// How it is logged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: an object a line
    Json,
}

impl Settings {
    /// These settings, and those of `other` for what they leave open.
    pub(super) fn or(self, other: Settings) -> Settings {
        Settings {
            data: self.data.or(other.data),
            backups: self.backups.or(other.backups),
            listen: self.listen.or(other.listen),
            http: self.http.or(other.http),
            http_cors: self.http_cors.or(other.http_cors),
            http_host: self.http_host.or(other.http_host),
            allow_remote: self.allow_remote.or(other.allow_remote),
            durability: self.durability.or(other.durability),
            sync_interval: self.sync_interval.or(other.sync_interval),
            segment_bytes: self.segment_bytes.or(other.segment_bytes),
            reserve_bytes: self.reserve_bytes.or(other.reserve_bytes),
            feed_retention: self.feed_retention.or(other.feed_retention),
            max_clock_jump: self.max_clock_jump.or(other.max_clock_jump),
            accept_clock: self.accept_clock.or(other.accept_clock),
            auth_timeout: self.auth_timeout.or(other.auth_timeout),
            max_connections: self.max_connections.or(other.max_connections),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            line_timeout: self.line_timeout.or(other.line_timeout),
            write_timeout: self.write_timeout.or(other.write_timeout),
            shutdown_timeout: self.shutdown_timeout.or(other.shutdown_timeout),
            threads: self.threads.or(other.threads),
            metrics_public: self.metrics_public.or(other.metrics_public),
            log_format: self.log_format.or(other.log_format),
            log: self.log.or(other.log),
        }
    }
}
