//! The web UI, embedded in the binary. Without a build of `web/` a page says how to make one.

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

const PLACEHOLDER: &str = "<!doctype html><meta charset=\"utf-8\"><title>Andon</title>\
<p>This build of Andon holds no user interface. Build it with <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, \
then build the program again, or use <code>make run</code>, which does both.</p>";

const fn content_type(extension: &str) -> Option<&'static str> {
    Some(match extension.as_bytes() {
        b"html" => "text/html; charset=utf-8",
        b"js" => "text/javascript; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"ico" => "image/x-icon",
        b"woff2" => "font/woff2",
        b"json" | b"webmanifest" => "application/json",
        b"txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// A file of the UI; every other path is a page of it, so the address bar may hold any of them.
pub async fn file(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return crate::problem::Problem::not_found(uri.path()).into_response();
    }
    let found = Dist::get(path).filter(|_| !path.is_empty()).map(|file| (path, file));
    let is_asset = path.starts_with("assets/");
    match found.or_else(|| Dist::get("index.html").filter(|_| !is_asset).map(|file| ("index.html", file))) {
        Some((name, file)) => {
            let etag =
                format!("\"{}\"", andon_access::secret::hex(file.metadata.sha256_hash().get(..16).unwrap_or_default()));
            if headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(&etag) {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            let extension = name.rsplit('.').next().unwrap_or_default();
            let kind = content_type(extension).unwrap_or("application/octet-stream");
            // Files under assets/ carry a hash of their content in their name.
            let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
            let headers = [
                (header::CONTENT_TYPE, kind.to_owned()),
                (header::CACHE_CONTROL, cache.to_owned()),
                (header::ETAG, etag),
            ];
            (headers, file.data).into_response()
        }
        None if is_asset => StatusCode::NOT_FOUND.into_response(),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PLACEHOLDER).into_response(),
    }
}
