//! Who is asking: a session cookie, a bearer token, or (in open mode on loopback) anybody.
//!
//! A request that changes something and comes with a cookie must carry `x-andon: 1`, which a foreign page cannot send
//! without our consent. On loopback the `Host` must be a loopback name, so that no foreign name can be bound to us.

use crate::App;
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::{Action, Gate, Principal, PrincipalKind};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::{IpAddr, SocketAddr};

/// The cookie's name over HTTPS.
pub const SECURE_COOKIE: &str = "__Host-andon";
/// The cookie's name on plain loopback.
pub const PLAIN_COOKIE: &str = "andon";

/// Where the request came from, and whether over TLS.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The other end.
    pub address: SocketAddr,
    /// Over TLS.
    pub tls: bool,
}

/// The one who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub who: Principal,
    /// When the session ends; `None` for tokens and open mode.
    pub expires: Option<Timestamp>,
    /// The cookie, for logging out.
    pub cookie: Option<String>,
}

impl Caller {
    /// May the caller do this here?
    /// # Errors
    /// 403 with the role that would be needed.
    pub fn may(&self, app: &App, action: Action, branch: &str) -> Result<(), Problem> {
        Ok(app.accounts.authorise(&self.who, action, branch)?)
    }

    /// Whether the caller may see this path.
    #[must_use]
    pub fn sees(&self, app: &App, path: &str) -> bool {
        app.accounts.authorise(&self.who, Action::View, path).is_ok()
    }

    /// The branches where the caller may do something; `""`: everywhere.
    #[must_use]
    pub fn branches(&self, app: &App, action: Action) -> Vec<String> {
        let needed = andon_access::table::needed(action);
        let grants = app.accounts.grants(&self.who).into_iter();
        grants.filter(|grant| grant.role >= needed).map(|grant| grant.branch).collect()
    }

    /// The interface, as it stands in command events.
    #[must_use]
    pub const fn via(&self) -> andon_model::command::Via {
        match self.who.kind {
            PrincipalKind::Token => andon_model::command::Via::Api,
            _ => andon_model::command::Via::Ui,
        }
    }
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
}

/// Finds out who asks, from the headers alone.
/// # Errors
/// 401 when nobody is logged in.
pub async fn identify(app: &App, headers: &HeaderMap, tls: bool) -> Result<Caller, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        let who = app.accounts.authenticate_token(token.trim()).ok_or_else(Problem::unauthenticated)?;
        return Ok(Caller { who, expires: None, cookie: None });
    }
    let name = if tls { SECURE_COOKIE } else { PLAIN_COOKIE };
    if let Some(cookie) = cookie(headers, name)
        && let Some(session) = app.accounts.session(cookie).await
    {
        return Ok(Caller { who: session.principal, expires: Some(session.expires), cookie: Some(cookie.to_owned()) });
    }
    if app.accounts.open_mode() {
        return Ok(Caller { who: Principal::ANONYMOUS, expires: None, cookie: None });
    }
    Err(Problem::unauthenticated())
}

/// Finds out who writes with a client of InfluxDB: an API token as `Token`, as `Bearer`, as the password of basic authentication, or
/// as the parameter `p`. Without one, as everywhere. A person's password is not taken: checking it costs too much for each request.
/// # Errors
/// 401, or 403 when the request might come from a foreign page.
pub async fn identify_writer(app: &App, head: &Parts, password: Option<&str>) -> Result<Caller, Problem> {
    let given = head.headers.get(header::AUTHORIZATION).map(|value| token_in(value.to_str().unwrap_or_default()));
    if let Some(token) = given.or_else(|| password.filter(|p| !p.is_empty()).map(str::to_owned)) {
        let who = app.accounts.authenticate_token(&token).ok_or_else(|| {
            Problem::unauthenticated().detail("the token is not known").remedy(
                "send an API token as \"authorization: Token …\", or as the password; in open mode leave it out and send \"x-andon: 1\"",
            )
        })?;
        return Ok(Caller { who, expires: None, cookie: None });
    }
    check_intent(&head.method, &head.headers)?;
    identify(app, &head.headers, peer_of(head).tls).await
}

/// The token in an `Authorization` header; empty, which nobody has, where there is none.
fn token_in(header: &str) -> String {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or_default();
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer") {
        return rest.to_owned();
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return String::new();
    }
    let plain = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    plain.split_once(':').map(|(_, password)| password.to_owned()).unwrap_or_default()
}

/// The peer of a request.
#[must_use]
pub fn peer_of(parts: &Parts) -> Peer {
    let unknown = Peer { address: SocketAddr::from(([127, 0, 0, 1], 0)), tls: false };
    parts.extensions.get::<ConnectInfo<Peer>>().map_or(unknown, |info| info.0)
}

/// Refuses a changing request without `x-andon: 1` unless it carries a bearer token.
/// # Errors
/// 403.
pub fn check_intent(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let meant = headers.contains_key("x-andon") || headers.contains_key(header::AUTHORIZATION);
    if changes && !meant {
        return Err(Problem::new(
            axum::http::StatusCode::FORBIDDEN,
            "not-meant",
            "this request could come from a foreign page",
        )
        .remedy("send the header \"x-andon: 1\""));
    }
    Ok(())
}

/// Whether `host` (a `Host` header) names a loopback address or `localhost`.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether a WebSocket's `Origin` is this very server. A missing origin is not a browser and needs a token or cookie anyway.
#[must_use]
pub fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).and_then(|v| v.to_str().ok()) else {
        return !headers.contains_key(header::ORIGIN);
    };
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|a| a.eq_ignore_ascii_case(host))
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        // Who is not logged in at all hears that first.
        let caller = identify(app, &parts.headers, peer_of(parts).tls).await?;
        check_intent(&parts.method, &parts.headers)?;
        Ok(caller)
    }
}

/// The peer of the request, as an extractor.
pub struct From(pub Peer);

impl FromRequestParts<App> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        check_intent(&parts.method, &parts.headers)?;
        Ok(Self(peer_of(parts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn loopback_names_are_known() {
        for good in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.9.9.9"] {
            assert!(is_loopback_host(good), "{good}");
        }
        for bad in ["evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1:8080"] {
            assert!(!is_loopback_host(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_is_found_however_it_is_sent() {
        for (sent, token) in [
            ("Token abc", "abc"),
            ("token  abc ", "abc"),
            ("Bearer abc", "abc"),
            ("Basic YW5uYTphOmJj", "a:bc"),
            ("Basic YW5uYQ==", ""),
            ("Basic %%", ""),
            ("Digest abc", ""),
            ("abc", ""),
            ("", ""),
        ] {
            assert_eq!(token_in(sent), token, "{sent}");
        }
    }

    #[test]
    fn a_foreign_origin_is_not_ours() {
        let headers = |origin: &'static str| {
            let mut map = HeaderMap::new();
            map.insert(header::HOST, HeaderValue::from_static("plant:8443"));
            map.insert(header::ORIGIN, HeaderValue::from_static(origin));
            map
        };
        assert!(same_origin(&headers("https://plant:8443")));
        assert!(!same_origin(&headers("https://evil.example")));
        assert!(!same_origin(&headers("null")));
        assert!(same_origin(&HeaderMap::new()));
    }

    #[test]
    fn a_change_without_the_header_is_refused() {
        assert!(check_intent(&Method::POST, &HeaderMap::new()).is_err());
        assert!(check_intent(&Method::GET, &HeaderMap::new()).is_ok());
        let mut map = HeaderMap::new();
        map.insert("x-andon", HeaderValue::from_static("1"));
        assert!(check_intent(&Method::DELETE, &map).is_ok());
    }
}
