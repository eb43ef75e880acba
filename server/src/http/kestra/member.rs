//! A caller in the tenant that the path names, and where there it acts.
//!
//! A tenant is an organization, and a path cannot choose one: it may name that of the caller, or say `main`, which is the one
//! that the caller acts in anyhow. Whether another one exists is not told.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use larder_protocol::Code;

use crate::http::path::Segments;
use crate::http::problem::Problem;
use crate::http::{App, Caller};

/// What every client calls the tenant that it has not been told the name of.
const MAIN: &str = "main";
/// What a key may be.
const KEY_RULE: &str = "Key must start with an alphanumeric character (uppercase or lowercase) and can contain \
    alphanumeric characters (uppercase or lowercase), dots (.), underscores (_), and hyphens (-) only.";

/// See the module.
#[derive(Debug)]
pub(super) struct Member {
    caller: Caller,
    path: Segments,
}

impl Member {
    /// The key, if it is one by the rule of this dialect.
    pub(super) fn key(&self) -> Result<&str, Problem> {
        let key = self.path.key();
        check_key(key).map(|()| key)
    }

    /// The caller, and beside it the namespace.
    pub(super) fn parts(&mut self) -> (&mut Caller, &str) {
        (&mut self.caller, self.path.namespace())
    }
}

impl FromRequestParts<Arc<App>> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Member, Problem> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let path = Segments::from_request_parts(parts, app).await?;
        let tenant = path.get("tenant");
        if !matches!(tenant, "" | MAIN) && tenant != &*caller.grant().organization().name {
            let text = "the access key is for another tenant; name its own, or main";
            return Err(Problem::of(Code::Denied, text));
        }
        Ok(Member { caller, path })
    }
}

/// Checks a key by the rule of this dialect.
pub(super) fn check_key(key: &str) -> Result<(), Problem> {
    let mut bytes = key.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::BadKey.as_str(), KEY_RULE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain() {
        for key in ["a", "0", "Z9.x_y-z", "my_key"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in ["", ".a", "_a", "-a", "a b", "a/b", "é", "aé", "a\n", "a:b", "a%2F"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }
}
