//! Against browsers: a page from anywhere must not drive this server through whoever looks at it.
//!
//! Two things do it. A request that a page of another origin makes says so (`Origin`), and is refused unless that origin is
//! allowed. And while there are no access keys, so that being on this machine is all that it takes, a server is spoken to by
//! address, as `localhost`, or by a name that its operator has given: a page whose own name has been pointed at this machine
//! (DNS rebinding) is of no other origin, but it calls the server by that name.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, StatusCode, Uri, Version};

use super::problem::Problem;

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    /// Origins whose pages may use this server, as `https://app.example`.
    pub(crate) origins: Vec<HeaderValue>,
    /// Names that this server goes by.
    pub(crate) hosts: Vec<String>,
}

impl Guard {
    /// Refuses what no client of this server sends. `keyless` is a server that asks for no access key.
    pub(super) fn check<B>(&self, request: &Request<B>, keyless: bool) -> Result<(), Problem> {
        let host = host(request)?;
        if let (Some(host), true) = (&host, keyless)
            && !self.goes_by(host.host())
        {
            return Err(misdirected());
        }
        let mut origins = request.headers().get_all(ORIGIN).iter();
        match origins.find(|origin| !self.origins.contains(origin) && !is_own(origin, host.as_ref())) {
            None => Ok(()),
            Some(_) => {
                let text = "pages of this origin may not use this server; its operator can allow them with --http-cors";
                Err(Problem::new(StatusCode::FORBIDDEN, "ORIGIN", text))
            }
        }
    }

    fn goes_by(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        address.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// Whom a request is for; `None` in HTTP/1.0 alone. What is said twice must be the same.
fn host<B>(request: &Request<B>) -> Result<Option<Authority>, Problem> {
    let malformed = || {
        Problem::new(StatusCode::BAD_REQUEST, "HOST", "a request names one host, in a header of this name")
    };
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next();
    if headers.next().is_some() {
        return Err(malformed());
    }
    let header =
        header.map(|header| Authority::try_from(header.as_bytes())).transpose().map_err(|_| malformed())?;
    let header = header.filter(|header| !header.as_str().contains('@'));
    match (request.uri().authority(), header) {
        (Some(target), Some(header)) if *target != header => Err(malformed()),
        (Some(target), _) => Ok(Some(target.clone())),
        (None, None) if request.version() >= Version::HTTP_11 => Err(malformed()),
        (None, header) => Ok(header),
    }
}

/// Whether an origin is this server's own, by the name that the request itself uses. The scheme is not looked at: a proxy in
/// front may have taken the TLS off.
fn is_own(origin: &HeaderValue, host: Option<&Authority>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let (Some(origin), Some(host)) = (origin, host) else { return false };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    origin
        .authority()
        .is_some_and(|own| own.host().eq_ignore_ascii_case(host.host()) && port(own) == port(host))
}

#[cold]
fn misdirected() -> Problem {
    let text = "this server has no access keys, and so answers to its address and to localhost alone; \
        its operator can give it names with --http-host";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "HOST", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(target: &str, headers: &[(&str, &str)], keyless: bool) -> Result<(), (u16, &'static str)> {
        let guard = Guard {
            origins: vec![HeaderValue::from_static("https://app.example")],
            hosts: vec!["larder".to_owned()],
        };
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        guard.check(&request, keyless).map_err(|problem| (problem.status.as_u16(), problem.code))
    }

    #[test]
    fn a_keyless_server_goes_by_no_strange_name() {
        for host in [
            "127.0.0.1:5274",
            "[::1]:5274",
            "localhost",
            "LOCALHOST:1",
            "larder:5274",
            "10.0.0.1",
            "localhost.",
        ] {
            assert_eq!(verdict("/", &[("host", host)], true), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "larder.example:5274"]
        {
            assert_eq!(verdict("/", &[("host", host)], true), Err((421, "HOST")), "{host}");
            assert_eq!(verdict("/", &[("host", host)], false), Ok(()), "{host}");
        }
    }

    #[test]
    fn one_host_is_named() {
        for headers in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "a b")],
            &[("host", "")],
            &[("host", "u@localhost")],
        ] {
            assert_eq!(verdict("/", headers, false), Err((400, "HOST")), "{headers:?}");
        }
        assert_eq!(verdict("http://evil.example/", &[("host", "localhost")], true), Err((400, "HOST")));
        assert_eq!(verdict("http://evil.example/", &[], true), Err((421, "HOST")));
        assert_eq!(verdict("http://localhost/", &[("host", "localhost")], true), Ok(()));
    }

    #[test]
    fn pages_of_other_origins_are_kept_out() {
        let from = |origin| verdict("/", &[("host", "127.0.0.1:5274"), ("origin", origin)], false);
        assert_eq!(from("http://127.0.0.1:5274"), Ok(()));
        assert_eq!(from("https://app.example"), Ok(()));
        for origin in [
            "http://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:5275",
            "null",
            "https://app.example:8443",
        ] {
            assert_eq!(from(origin), Err((403, "ORIGIN")), "{origin}");
        }
        assert_eq!(verdict("/", &[("host", "db.example"), ("origin", "https://db.example")], false), Ok(()));
    }
}
