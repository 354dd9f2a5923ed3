//! THIRD-PARTY-NOTICES.md: what goes into the binary, under which licence, with the licence texts.
//!
//! Rust crates come from `cargo metadata` (everything `andon-server` needs except for tests), their texts from the sources
//! cargo has unpacked. What the browser gets comes from `web/node_modules`, if it is there. Equal texts are printed once.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const OUTPUT: &str = "THIRD-PARTY-NOTICES.md";
/// The package whose dependencies are the binary.
const BINARY: &str = "andon-server";
/// npm packages that only build and test; nothing of them reaches the browser.
const WEB_TOOLS: [&str; 8] = [
    "@sveltejs/vite-plugin-svelte",
    "@types/node",
    "axe-core",
    "playwright-core",
    "svelte-check",
    "typescript",
    "vite",
    "vitest",
];

/// A package of somebody else.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    licence: String,
    home: String,
    folder: PathBuf,
}

/// Writes the file.
pub(crate) fn run(root: &Path) -> Result<()> {
    let crates = crates(&crate::cargo_metadata(root, &["--locked"])?)?;
    let web = web(&root.join("web"))?;
    if web.is_empty() {
        eprintln!(
            "xtask: web/node_modules is not there, so the notices leave out what the browser gets; run `npm ci` in web/ first"
        );
    }
    let text = render(&crates, &web);
    std::fs::write(root.join(OUTPUT), text).with_context(|| format!("could not write {OUTPUT}"))?;
    println!("{OUTPUT}: {} crates, {} npm packages", crates.len(), web.len());
    Ok(())
}

/// Everything the binary needs, except for tests, without our own.
fn crates(metadata: &Value) -> Result<BTreeSet<Package>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: HashMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let nodes: HashMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let binary = packages.iter().find(|(_, package)| package["name"] == BINARY).map(|(id, _)| id.clone());
    let mut open = vec![binary.with_context(|| format!("cargo metadata does not know {BINARY}"))?];
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let Some(package) = packages.get(&id) else { bail!("cargo metadata names {id} and does not describe it") };
        if package["source"].is_string() {
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            found.insert(Package {
                name: text(&package["name"]),
                version: text(&package["version"]),
                licence: text(&package["license"]),
                home: text(&package["repository"]),
                folder: manifest.parent().map(Path::to_owned).unwrap_or_default(),
            });
        }
        for dependency in nodes.get(&id).map(|node| list(&node["deps"])).unwrap_or_default() {
            if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    Ok(found)
}

/// What `web/package.json` names and the browser gets, with what that needs in turn.
fn web(folder: &Path) -> Result<BTreeSet<Package>> {
    let modules = folder.join("node_modules");
    if !modules.is_dir() {
        return Ok(BTreeSet::new());
    }
    let manifest = read_json(&folder.join("package.json"))?;
    let mut open: Vec<String> = names(&manifest["dependencies"]);
    open.extend(names(&manifest["devDependencies"]).into_iter().filter(|name| !WEB_TOOLS.contains(&name.as_str())));
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = open.pop() {
        let folder = modules.join(&name);
        if !seen.insert(name.clone()) || !folder.is_dir() {
            continue;
        }
        let package = read_json(&folder.join("package.json"))?;
        open.extend(names(&package["dependencies"]));
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let home = package["repository"]["url"].as_str().map_or_else(|| text("homepage"), str::to_owned);
        found.insert(Package { name, version: text("version"), licence: text("license"), home, folder });
    }
    Ok(found)
}

fn names(dependencies: &Value) -> Vec<String> {
    dependencies.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn render(crates: &BTreeSet<Package>, web: &BTreeSet<Package>) -> String {
    let mut out = String::from(
        "# Third-party notices\n\nAndon contains the work of others. Thank you. Made by `cargo xtask notices`; do not edit.\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (title, packages) in [("Rust crates", crates), ("In the browser", web)] {
        if packages.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## {title}\n\n| package | version | licence | home |\n| --- | --- | --- | --- |\n");
        for package in packages {
            let licence = if package.licence.is_empty() { "see its text" } else { &package.licence };
            let _ = writeln!(out, "| {} | {} | {licence} | {} |", package.name, package.version, package.home);
            for text in licence_texts(&package.folder) {
                texts.entry(text).or_default().push(format!("{} {}", package.name, package.version));
            }
        }
    }
    let mut texts: Vec<(Vec<String>, String)> = texts.into_iter().map(|(text, users)| (users, text)).collect();
    texts.sort();
    out.push_str("\n## Licence texts\n");
    for (users, text) in texts {
        let _ = write!(out, "\n### {}\n\n````text\n{text}\n````\n", users.join(", "));
    }
    out
}

/// The licence and notice files of a package, their line ends and blanks at the ends made equal.
fn licence_texts(folder: &Path) -> Vec<String> {
    let is_licence = |name: &str| {
        let name = name.to_ascii_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE", "OFL"]
            .iter()
            .any(|start| name.starts_with(start))
            && !name.ends_with(".RS")
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file() && path.file_name().and_then(|name| name.to_str()).is_some_and(is_licence))
        .collect();
    files.sort();
    files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).map(|text| tidy_text(&text)).collect()
}

fn tidy_text(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn test_only_dependencies_and_our_own_crates_are_left_out() {
        let package = |id: &str, source: Value| json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT", "repository": null, "source": source, "manifest_path": "/x/Cargo.toml"});
        let dependency = |id: &str, kind: Value| json!({"pkg": id, "dep_kinds": [{"kind": kind}]});
        let registry = json!("registry");
        let metadata = json!({
            "packages": [package(BINARY, Value::Null), package("andon-bus", Value::Null), package("tokio", registry.clone()),
                package("mio", registry.clone()), package("proptest", registry.clone()), package("cc", registry)],
            "resolve": {"nodes": [
                {"id": BINARY, "deps": [dependency("andon-bus", Value::Null), dependency("proptest", json!("dev")), dependency("cc", json!("build"))]},
                {"id": "andon-bus", "deps": [dependency("tokio", Value::Null)]},
                {"id": "tokio", "deps": [dependency("mio", Value::Null)]},
                {"id": "mio", "deps": []}]},
        });
        let names: Vec<String> =
            crates(&metadata).expect("described").into_iter().map(|package| package.name).collect();
        assert_eq!(names, ["mio", "tokio"]);
    }

    #[test]
    fn equal_texts_are_printed_once() {
        let root = std::env::temp_dir().join(format!("andon-notices-{}", std::process::id()));
        let mut packages = BTreeSet::new();
        for (name, text) in [("a", "Same text. \r\n"), ("b", "Same text.\n")] {
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).expect("a temporary folder");
            std::fs::write(folder.join("LICENSE-MIT"), text).expect("a file in it");
            packages.insert(Package {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                licence: "MIT".to_owned(),
                home: String::new(),
                folder,
            });
        }
        let out = render(&packages, &BTreeSet::new());
        std::fs::remove_dir_all(&root).expect("removable");
        assert_eq!(out.matches("Same text.").count(), 1);
        assert!(out.contains("### a 1.0.0, b 1.0.0"), "{out}");
    }
}
