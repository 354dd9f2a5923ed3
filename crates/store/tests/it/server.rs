//! A PostgreSQL server of the tests' own, in a temporary folder, on a socket. It ends with the process, however that ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// Runs until its input ends: when the process that holds the other end does, or when it is told by a closed pipe.
const SCRIPT: &str = r#"
bin=$1 host=$2 port=$3 secrets=$4 options= folder=$(mktemp -d "${TMPDIR:-/tmp}/andon-postgres.XXXXXX")
end() { [ -z "$server" ] || kill -QUIT "$server" 2>/dev/null; wait; server=; }
trap 'end; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
as=
# It refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    user=postgres; id -u "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    owner=$user
    as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"
fi
if [ -n "$secrets" ]; then
    cp "$secrets/server.crt" "$secrets/server.key" "$folder/"
    chmod 600 "$folder/server.key"
    chown "${owner:-$(id -u)}" "$folder/server.crt" "$folder/server.key"
    options="-c ssl=on -c ssl_cert_file=$folder/server.crt -c ssl_key_file=$folder/server.key"
fi
begin() {
    $as "$bin/postgres" -D "$folder/data" -k "$folder" -h "$host" -p "$port" -c max_connections=300 -c shared_buffers=32MB $options >>"$folder/server.log" 2>&1 &
    server=$!
    until "$bin/pg_isready" -q -h "$folder" -p "$port"; do
        kill -0 "$server" 2>/dev/null || { cat "$folder/server.log" >&2; exit 1; }
        sleep 0.05
    done
}
cd "$folder"
$as "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --locale-provider=icu --icu-locale=de-DE --no-sync >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
begin
echo "$folder"
while read -r word; do
    case $word in
        stop) end ;;
        start) begin ;;
    esac
    echo done
done
"#;

/// A running server.
pub struct Server {
    pub folder: PathBuf,
    script: Child,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// As a crash ends it.
    pub fn stop(&mut self) {
        self.say("stop");
    }
    pub fn start(&mut self) {
        self.say("start");
    }
    fn say(&mut self, word: &str) {
        writeln!(self.script.stdin.as_mut().unwrap(), "{word}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "done");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// Where the programs of the newest PostgreSQL from 15 on are.
fn installed() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = debian.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.filter(|version| *version >= 15).max();
    newest
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")))
        .filter(|bin| bin.join("initdb").exists())
}

/// Starts one; `None`: there is none to start. One that is there and does not start is a fault.
pub fn start() -> Option<Server> {
    run("", 5432, Path::new(""))
}

/// One that speaks TLS at a port of this machine, with `server.crt` and `server.key` of a folder.
pub fn start_with_tls(secrets: &Path) -> Option<(Server, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Some((run("127.0.0.1", port, secrets)?, port))
}

fn run(host: &str, port: u16, secrets: &Path) -> Option<Server> {
    let bin = installed()?;
    let mut script = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(bin)
        .args([host, &port.to_string()])
        .arg(secrets)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = BufReader::new(script.stdout.take().unwrap());
    let mut folder = String::new();
    answers.read_line(&mut folder).unwrap();
    assert!(!folder.is_empty(), "PostgreSQL is installed and did not start; its answer is above");
    Some(Server { folder: PathBuf::from(folder.trim()), script, answers })
}

/// The one that most tests share.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            let server = start();
            if server.is_none() {
                assert!(std::env::var_os("CI").is_none(), "PostgreSQL from 15 on is not installed (Debian package postgresql)");
                // Past the capture of tests that pass.
                let _ = writeln!(std::io::stderr(), "the tests on PostgreSQL are left out: no version from 15 on is installed (Debian package postgresql)");
            }
            server
        })
        .as_ref()
}

/// The address of a database on it.
pub fn url(folder: &Path, database: &str) -> String {
    format!("postgres://postgres@{}/{database}", folder.display().to_string().replace('/', "%2F"))
}

/// A name that no other database of this process has.
pub fn new_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A new, empty database.
pub async fn database(server: &Server) -> String {
    let name = new_name();
    execute(&url(&server.folder, "postgres"), &format!("CREATE DATABASE {name}")).await;
    url(&server.folder, &name)
}

/// Runs statements as the owner of the server.
pub async fn execute(url: &str, sql: &str) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Between a store and the server: passes everything on, and loses the answer to a commit when it is told to.
pub struct Proxy {
    lose: Arc<AtomicBool>,
    lost: Arc<AtomicU32>,
}

impl Proxy {
    pub fn lose_the_next_commit(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }
    /// How many answers were lost.
    pub fn lost(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }
}

/// A new database behind one, and its address there.
pub async fn proxied() -> Option<(Proxy, String)> {
    let server = shared()?;
    let direct = database(server).await;
    let socket = server.folder.join(".s.PGSQL.5432");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (lose, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let proxy = Proxy { lose: lose.clone(), lost: lost.clone() };
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let (lose, lost) = (lose.clone(), lost.clone());
            tokio::spawn(pass(client, server, lose, lost));
        }
    });
    let name = direct.rsplit('/').next().unwrap();
    Some((proxy, format!("postgres://postgres@127.0.0.1:{port}/{name}?sslmode=disable")))
}

async fn pass(client: TcpStream, server: UnixStream, lose: Arc<AtomicBool>, lost: Arc<AtomicU32>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                let is_commit = asked[..count].windows(6).any(|word| word == b"COMMIT");
                if to_server.write_all(&asked[..count]).await.is_err() { return }
                if is_commit && lose.swap(false, Ordering::SeqCst) {
                    // It has answered, so it was made; the client hears nothing of it.
                    let _ = from_server.read(&mut answered).await;
                    lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            read = from_server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if to_client.write_all(&answered[..count]).await.is_err() { return }
            }
        }
    }
}
