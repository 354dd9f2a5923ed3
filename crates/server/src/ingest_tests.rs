//! Readings in every form that they are taken in, over the node's own sockets.

use crate::node::Node;
use crate::node_tests::{apply, exchange, json_of, start};
use serde_json::{Value as Json, json};

/// Among its tags one that InfluxDB's clients name by measurement, tags and field.
const PLANT: &str = r#"
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/oven"
level = "area"
[[equipment]]
path = "works/oven/2"
level = "work_center"
[[equipment]]
path = "works/oven/2/left"
level = "work_unit"
[[tag]]
path = "works/oven/2/left/heat"
type = "double"
[[tag]]
path = "works/oven/2/left/on"
type = "boolean"
[[tag]]
path = "works/oven/count"
type = "int64"
[[tag]]
path = "works/oven/batch"
type = "string"
"#;

struct Sent<'a> {
    path: &'a str,
    headers: &'a str,
    body: &'a [u8],
}

async fn send(node: &Node, sent: Sent<'_>) -> (u16, String) {
    let address = node.addresses.http.expect("a listener");
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n",
        sent.path,
        sent.body.len(),
        sent.headers
    );
    exchange(address, &[head.as_bytes(), sent.body].concat()).await
}

async fn post(node: &Node, path: &str, headers: &str, body: &str) -> (u16, Json) {
    let headers = format!("x-andon: 1\r\n{headers}");
    let (status, text) = send(node, Sent { path, headers: &headers, body: body.as_bytes() }).await;
    (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
}

/// `[ms, value, status]` of a tag.
async fn points(node: &Node, tag: &str) -> Json {
    let path = format!("/api/history?tag={tag}&from_ms=0&to_ms=9000000000000");
    json_of(node, "GET", &path, Json::Null).await.1["points"].clone()
}

async fn until(node: &Node, tag: &str, wanted: Json) {
    let mut seen = Json::Null;
    let same = async {
        loop {
            seen = points(node, tag).await;
            if seen == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), same).await;
    assert!(ended.is_ok(), "{tag} is {seen}, not {wanted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_influx_clients_send_is_kept_as_far_as_it_is_good_and_the_rest_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let lines = "oven,side=left,number=2 heat=181.5,on=t 1700000000\noven count=7i,batch=\"a b\" 1700000001\n";
    assert_eq!(post(&node, "/api/v2/write?org=o&bucket=works&precision=s", "", lines).await.0, 204);
    until(&node, "works/oven/2/left/heat", json!([[1_700_000_000_000_i64, 181.5, 0]])).await;
    until(&node, "works/oven/2/left/on", json!([[1_700_000_000_000_i64, true, 0]])).await;
    until(&node, "works/oven/batch", json!([[1_700_000_001_000_i64, "a b", 0]])).await;

    // Without a bucket, and the same again from memory: the tags' values are in the order of their keys.
    for second in [2, 3] {
        let lines = format!("works/oven,number=2,side=left heat={second} 170000000{second}000\n");
        assert_eq!(post(&node, "/write?db=any&precision=ms", "", &lines).await.0, 204);
    }
    // A line is kept whole or not at all.
    let lines = "oven,number=2,side=left heat=4 1700000004\n\
                 oven,number=2,side=right heat=4 1700000004\n\
                 oven count=8.5,batch=\"c\" 1700000004\n\
                 oven count=9i,batch=x 1700000004\n\
                 oven,number=2,side=left heat=5 1700000005\n";
    let (status, told) = post(&node, "/api/v2/write?bucket=/works/&precision=s", "", lines).await;
    assert_eq!((status, &told["code"]), (400, &json!("invalid")), "{told}");
    assert_eq!(
        told["message"],
        "partial write: 3 lines were refused, the others are stored: \
         line 2: works/oven/2/right/heat is not known here; add the tag to the plant model first; \
         line 3: \"8.5\" is no value of works/oven/count, which is a whole number (int64); \
         line 4: column 22: \"x\" is no value: write 1.5, 3i, 3u, true or \"text\" in double quotes; a number must be finite and fit 64 bits"
    );
    assert_eq!(told["error"], told["message"], "1.x reads it there");
    let at = |second: i64, value: f64| json!([1_700_000_000_000_i64 + second * 1000, value, 0]);
    until(&node, "works/oven/2/left/heat", json!([at(0, 181.5), at(2, 2.0), at(3, 3.0), at(4, 4.0), at(5, 5.0)])).await;
    until(&node, "works/oven/count", json!([[1_700_000_001_000_i64, 7, 0]])).await;

    let many = "nothing x=1\n".repeat(1000);
    let (status, told) = post(&node, "/api/v2/write?bucket=works", "", &many).await;
    assert_eq!(status, 400);
    let message = told["message"].as_str().expect("a message");
    assert!(
        message.starts_with("nothing was stored, 1000 lines were refused: line 1: ")
            && message.ends_with("; and 990 more"),
        "{message}"
    );
    for (path, headers, status, said) in [
        ("/api/v2/write?bucket=works&precision=days", "", 400, "not a precision"),
        ("/api/v2/write?bucket=a%20b", "", 400, "the bucket is not a branch"),
        ("/api/v2/write?bucket=works", "content-encoding: br\r\n", 415, ""),
        ("/api/v2/write?bucket=works", "authorization: Token nobody\r\n", 401, "the token is not known"),
        ("/write?u=a&p=nobody", "", 401, "the token is not known"),
        ("/write", "authorization: Basic YTpi\r\n", 401, "the token is not known"),
        ("/write", "idempotency-key: \r\n", 400, "1 to 255"),
    ] {
        let (found, told) = post(&node, path, headers, "oven count=1i").await;
        assert_eq!(found, status, "{path} {headers}: {told}");
        assert!(told.to_string().contains(said), "{path}: {told}");
    }
    let foreign = send(&node, Sent { path: "/write", headers: "", body: b"works/oven count=1i" }).await;
    assert_eq!(foreign.0, 403, "a foreign page cannot write here: {}", foreign.1);
    for path in ["/ping", "/health"] {
        assert!(json_of(&node, "GET", path, Json::Null).await.0 < 300);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_writes_below_its_branch_and_learns_nothing_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let body = json!({ "name": "line", "grants": [{ "role": "operator", "branch": "works/oven/2" }] });
    let (status, token) = json_of(&node, "POST", "/api/tokens", body).await;
    assert_eq!(status, 201, "{token}");
    let secret = token["token"].as_str().expect("a secret");
    let lines = "oven,n=2,s=left heat=1 1\noven count=1i 1\noven absent=1i 1\n";
    for (path, headers) in [
        ("/api/v2/write?bucket=works&precision=s".to_owned(), format!("authorization: Token {secret}\r\n")),
        (format!("/write?precision=s&u=any&p={secret}"), String::new()),
    ] {
        let lines = if path.starts_with("/write") { lines.replace("oven", "works/oven") } else { lines.to_owned() };
        for _ in 0..2 {
            let (status, told) = send(&node, Sent { path: &path, headers: &headers, body: lines.as_bytes() }).await;
            assert_eq!(status, 400, "{told}");
            assert!(told.contains("2 lines were refused"), "{told}");
            for tag in ["works/oven/count", "works/oven/absent"] {
                let said = format!("not allowed: Publish on \\\"{tag}\\\" needs the role Operator there");
                assert!(told.contains(&said), "one looks like the other: {told}");
            }
        }
        let denied = send(&node, Sent { path: &path, headers: &headers, body: b"works/oven count=1i" }).await;
        assert_eq!(denied.0, 403, "{}", denied.1);
    }
    until(&node, "works/oven/2/left/heat", json!([[1000, 1.0, 0]])).await;
    let id = token["id"].as_str().expect("an id");
    assert_eq!(json_of(&node, "DELETE", &format!("/api/tokens/{id}"), Json::Null).await.0, 204);
    let headers = format!("authorization: Token {secret}\r\n");
    let gone =
        send(&node, Sent { path: "/api/v2/write?bucket=works", headers: &headers, body: lines.as_bytes() }).await;
    assert_eq!(gone.0, 401, "{}", gone.1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_and_csv_say_the_same_as_line_protocol_and_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let (json, csv) = ("content-type: application/json\r\n", "content-type: text/csv; charset=utf-8\r\n");
    let big = 9_007_199_254_740_993_i64;
    let body = json!([
        { "path": "works/oven/count", "ts": 1000, "value": big },
        { "path": "works/oven/2/left/heat", "ts": ["1970-01-01T00:00:01Z", 2000, "1970-01-01T01:00:03+01:00"], "values": [1.5, null, 3], "quality": [0, "BadSensorFailure", "uncertain"] },
        { "path": "works/oven/2/left/on", "ts": 1000, "value": null },
        { "path": "works/oven/batch", "ts": "1970-01-01 00:00:01.000001", "value": "x\"y", "quality": "Good" },
    ]);
    assert_eq!(post(&node, "/api/ingest", json, &body.to_string()).await, (204, json!("")));
    let one = json!({ "path": "works/oven/count", "ts": 2_000_000, "value": -1, "quality": null });
    assert_eq!(post(&node, "/api/ingest?precision=us", json, &one.to_string()).await.0, 204);
    until(&node, "works/oven/count", json!([[1000, big, 0], [2000, -1, 0]])).await;
    until(
        &node,
        "works/oven/2/left/heat",
        json!([[1000, 1.5, 0], [2000, null, 0x808C_0000_u32], [3000, 3.0, 0x4000_0000_u32]]),
    )
    .await;
    until(&node, "works/oven/2/left/on", json!([[1000, null, 0x809B_0000_u32]])).await;
    until(&node, "works/oven/batch", json!([[1000, "x\"y", 0]])).await;

    let long = "path,ts,value,quality\nworks/oven/count,3000,9007199254740993,\nworks/oven/count,1970-01-01T00:00:04Z,,Bad\n\
                works/oven/batch,2000,\"two\nlines; \"\"q\"\"\",\nworks/oven/batch,3000,\"\",\n";
    assert_eq!(post(&node, "/api/ingest", csv, long).await, (204, json!("")));
    let wide = "ts;works/oven/2/left/heat;works/oven/2/left/on\n5000;7.25;true\n6000;;0\n7000;8;\n";
    assert_eq!(post(&node, "/api/ingest", csv, wide).await, (204, json!("")));
    until(
        &node,
        "works/oven/count",
        json!([[1000, big, 0], [2000, -1, 0], [3000, big, 0], [4000, null, 0x8000_0000_u32]]),
    )
    .await;
    until(&node, "works/oven/batch", json!([[1000, "x\"y", 0], [2000, "two\nlines; \"q\"", 0], [3000, "", 0]])).await;
    until(&node, "works/oven/2/left/on", json!([[1000, null, 0x809B_0000_u32], [5000, true, 0], [6000, false, 0]]))
        .await;

    for (kind, body, status, said) in [
        (
            json,
            "[{\"path\":\"works/oven/count\",\"ts\":1,\"value\":1},{\"path\":\"works/none\",\"ts\":1,\"value\":1}]",
            404,
            "works/none is not known",
        ),
        (
            json,
            "{\"path\":\"works/oven/count\",\"ts\":[1,2],\"values\":[1]}",
            400,
            "reading 1: works/oven/count: there are 2 in",
        ),
        (json, "{\"path\":\"works/oven/count\",\"ts\":1,\"values\":[1]}", 400, "need a list"),
        (json, "{\"path\":\"works/oven/count\",\"ts\":1}", 400, "no \\\"value\\\""),
        (json, "{\"path\":\"works/oven/count\",\"time\":1,\"value\":1}", 400, "unknown field `time`"),
        (json, "{\"path\":\"works/oven/count\",\"ts\":\"soon\",\"value\":1}", 400, "is no time"),
        (json, "{\"path\":\"works/oven/count\",\"ts\":1,\"value\":1,\"quality\":\"fine\"}", 400, "a quality is"),
        (
            json,
            "{\"path\":\"works/oven/count\",\"ts\":1,\"value\":18446744073709551615}",
            400,
            "\\\"18446744073709552000\\\" is no value of works/oven/count",
        ),
        (json, "{\"path\":\"works/oven/count\",\"ts\":1,\"value\":[1]}", 400, "invalid type"),
        (json, "[{\"path\":\"works/oven/count\",\"ts\":1,\"value\":1}", 400, "EOF"),
        (json, "[] []", 400, "trailing characters"),
        (csv, "", 400, "no first line"),
        (
            csv,
            "path,value\nworks/oven/count,1\n",
            400,
            "no column \\\"ts\\\"; the first line names \\\"path\\\", \\\"value\\\"",
        ),
        (csv, "path,ts,value,unit\n", 400, "\\\"unit\\\" is not known"),
        (csv, "ts,ts\n", 400, "comes twice"),
        (
            csv,
            "path,ts,value\nworks/oven/count,1,1\nworks/oven/count,1,x\n",
            400,
            "line 3: \\\"x\\\" is no value of works/oven/count, which is a whole number (int64)\"",
        ),
        (
            csv,
            "path;ts;value\nworks/oven/count;1;\"2,5\"\n",
            400,
            "line 2: \\\"2,5\\\" is no value of works/oven/count, which is a whole number (int64); decimals take a point",
        ),
        (csv, "path,ts,value\nworks/oven/count,1\n", 400, "column 3 is missing"),
        (csv, "path,ts,value\nworks/oven/count,1,1,2\n", 400, "4 cells, more than columns"),
        (csv, "ts,works/none\n1,\n2,1\n", 404, "works/none"),
        (csv, "path,ts,value\n\"works/oven/count,1,1\n", 400, "no closing quote"),
        ("content-type: image/png\r\n", "x", 415, "image/png"),
    ] {
        let (found, told) = post(&node, "/api/ingest", kind, body).await;
        assert_eq!(found, status, "{body}: {told}");
        assert!(told.to_string().contains(said), "{body}: {told}");
    }
    let half = "path,ts,value\nworks/none,1,1\nworks/oven/count,5000,5\nworks/oven/count,never,5\n";
    let (status, told) = post(&node, "/api/ingest?partial=true", csv, half).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["stored"], &told["refused_rows"]), (&json!(1), &json!(2)));
    assert_eq!(
        told["refused"][1],
        json!({ "row": 4, "reason": "\"never\" is no time; write RFC 3339 or a whole number" })
    );
    let half = json!([{ "path": "works/oven/count", "ts": [6000, 7000], "values": [6, 7.5] }, { "path": "works/oven/count", "ts": 8000, "value": 8 }]);
    let (_, told) = post(&node, "/api/ingest?partial=true", json, &half.to_string()).await;
    assert_eq!((&told["stored"], &told["refused"][0]["row"]), (&json!(2), &json!(2)), "{told}");
    until(
        &node,
        "works/oven/count",
        json!([
            [1000, big, 0],
            [2000, -1, 0],
            [3000, big, 0],
            [4000, null, 0x8000_0000_u32],
            [5000, 5, 0],
            [6000, 6, 0],
            [8000, 8, 0]
        ]),
    )
    .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_with_a_key_is_answered_alike_and_stored_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let key = |key: &str| format!("idempotency-key: {key}\r\n");
    // Without times, a repetition that was stored would be seen.
    let line = "works/oven count=1i";
    let (first, second) = (key("first"), key("second"));
    let both = tokio::join!(post(&node, "/api/ingest", &first, line), post(&node, "/api/ingest", &first, line));
    assert_eq!((both.0.0, both.1.0), (204, 204));
    assert_eq!(post(&node, "/api/ingest", &first, line).await.0, 204);
    let other = "works/oven count=2i";
    let (status, told) = post(&node, "/api/ingest", &first, other).await;
    assert_eq!((status, told["type"].as_str()), (422, Some("andon:key-used")), "{told}");
    let half = "works/oven count=3i\nworks/none count=3i";
    let answers = [post(&node, "/write", &second, half).await, post(&node, "/write", &second, half).await];
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, 400);
    assert!(
        answers[0].1["message"].as_str().is_some_and(|message| message.starts_with("partial write: 1 lines")),
        "{}",
        answers[0].1
    );
    // What stored nothing is looked at again: the reason may be gone.
    let third = key("third");
    let late = "works/oven late=4i 4000000000";
    assert_eq!(post(&node, "/api/ingest", &third, late).await.0, 404);
    apply(&node, &format!("{PLANT}[[tag]]\npath = \"works/oven/late\"\ntype = \"int64\"\n"), 1).await;
    assert_eq!(post(&node, "/api/ingest", &third, late).await.0, 204);
    until(&node, "works/oven/late", json!([[4000, 4, 0]])).await;
    let values: Vec<Json> =
        points(&node, "works/oven/count").await.as_array().expect("points").iter().map(|p| p[1].clone()).collect();
    assert_eq!(values, [json!(1), json!(3)]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_refuses_rows_without_a_time_and_whoever_may_write_nowhere_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let (status, begun) = json_of(&node, "POST", "/api/imports", json!({ "name": "x.csv" })).await;
    assert_eq!(status, 201, "{begun}");
    let path = format!("/api/ingest?partial=true&import={}", begun["id"].as_str().expect("an id"));
    let none = json!([{ "path": "works/oven/count", "ts": null, "value": 7 }]).to_string();
    for (kind, body, stored) in [
        ("text/csv", "path,ts,value\nworks/oven/count,,7\nworks/oven/count,1000,1\n", 1),
        ("text/csv", "ts,works/oven/count\n,7\n2000,2\n", 1),
        ("application/json", none.as_str(), 0),
        ("text/plain", "works/oven count=7i\n", 0),
    ] {
        let (status, told) = post(&node, &path, &format!("content-type: {kind}\r\n"), body).await;
        assert_eq!((status, &told["stored"], &told["refused_rows"]), (200, &json!(stored), &json!(1)), "{told}");
        assert_eq!(told["refused"][0]["reason"], "there is no time; each row of an import has one", "{told}");
    }
    until(&node, "works/oven/count", json!([[1000, 1, 0], [2000, 2, 0]])).await;

    let csv = "content-type: text/csv\r\n";
    let wide: String = (0..10_001).map(|n| format!(",a/b{n}")).collect();
    let (status, told) = post(&node, "/api/ingest", csv, &format!("ts{wide}\n")).await;
    assert_eq!(status, 400);
    assert!(told.to_string().contains("names 10002 columns, and there may be 10000"), "{told}");

    for n in 0..7 {
        assert_eq!(json_of(&node, "POST", "/api/imports", json!({ "name": "x.csv" })).await.0, 201, "{n}");
    }
    assert_eq!(json_of(&node, "POST", "/api/imports", json!({ "name": "x.csv" })).await.0, 503);

    let body = json!({ "name": "looks", "grants": [{ "role": "viewer", "branch": "" }] });
    let (_, token) = json_of(&node, "POST", "/api/tokens", body).await;
    let headers =
        format!("authorization: Bearer {}\r\ncontent-encoding: gzip\r\n", token["token"].as_str().expect("a secret"));
    let sent = send(&node, Sent { path: "/api/ingest", headers: &headers, body: b"not gzip" }).await;
    assert_eq!(sent.0, 403, "{}", sent.1);
    node.stop().await;
}
