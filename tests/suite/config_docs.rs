//! The binary without a server: settings, documents, exit codes, and what it says when it is used wrongly.
//!
//! Not here: what settings mean (unit tests of `config`).
//! Must always hold: data is on stdout, everything else on stderr; each exit code is that of the contract.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{metad, metad_line, run};

#[test]
fn config_show_names_every_value_and_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("metad.toml"),
        "files = '/library'\nwebdav_username = 'a'\nwebdav_password = 'hush'\n",
    )
    .unwrap();
    let mut command = metad(dir.path());
    command.env("META_CORE_HTTP_PORT", "9100").args(["config", "show", "--origin", "--mode", "noop"]);
    let shown = run(&mut command);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    let row = |key: &str| -> Vec<String> {
        let line = shown.stdout.lines().find(|l| l.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key} is missing in\n{}", shown.stdout))
            .split("  ")
            .filter(|c| !c.is_empty())
            .map(|c| c.trim().to_owned())
            .collect()
    };
    assert_eq!(row("mode"), ["mode", "noop", "flag --mode"]);
    assert_eq!(row("http_port"), ["http_port", "9100", "variable META_CORE_HTTP_PORT"]);
    assert_eq!(row("files"), ["files", "/library", "file metad.toml"]);
    assert_eq!(row("durability"), ["durability", "os", "default"]);
    assert!(!shown.stdout.contains("hush"), "a password is never shown");
}

#[test]
fn config_show_json_is_one_object() {
    let dir = tempfile::tempdir().unwrap();
    let shown = metad_line(dir.path(), "config show --json");
    let object: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(object["http"], "127.0.0.1:9000");
    assert_eq!(object["peers"], serde_json::Value::Null);
}

#[test]
fn config_check_reports_every_problem_and_exits_2() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(metad_line(dir.path(), "config check").code, 0);
    fs::write(dir.path().join("metad.toml"), "moode = 'raft'\n").unwrap();
    let mut command = metad(dir.path());
    command.env("METAD_DURABILTY", "os").args(["config", "check", "--http", "0.0.0.0:9000"]);
    let refused = run(&mut command);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    for expected in ["did you mean `mode`?", "did you mean METAD_DURABILITY?", "--insecure"] {
        assert!(refused.stderr.contains(expected), "{expected} is missing in\n{}", refused.stderr);
    }
}

#[test]
fn serve_refuses_unsound_settings_before_it_touches_anything() {
    let dir = tempfile::tempdir().unwrap();
    let refused = metad_line(dir.path(), "serve --mode noop --http 0.0.0.0:0 --data-dir data");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(!dir.path().join("data").exists());
    let refused = metad_line(dir.path(), "serve --mode noop --log metad=loud");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    let dir = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("confg show", "config"),
        ("meta gett x", "get"),
        ("serve --mode rafd", "raft"),
        ("serve --dta-dir x", "--data-dir"),
        ("meta set h novalue", "NAME=VALUE"),
        ("status --timeout 0", "above 0"),
        ("status -e https://a", "TLS is not in this version"),
    ] {
        let refused = metad_line(dir.path(), line);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{line}");
        assert!(refused.stderr.contains(expected), "{line}: {}", refused.stderr);
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_exit_5_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    // Port 1 is privileged and nothing listens there.
    for line in
        ["status", "meta list", "meta set h a=b", "healthcheck", "vfs ls", "events tail", "rules show"]
    {
        let refused = metad_line(dir.path(), &format!("{line} -e http://127.0.0.1:1 --timeout 5"));
        assert_eq!((refused.code, refused.stdout.as_str()), (5, ""), "{line}: {}", refused.stderr);
        assert!(refused.stderr.contains("is the node running there?"), "{line}: {}", refused.stderr);
    }
}

#[test]
fn commands_of_later_versions_say_so() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["import redis://h:1", "mesh ping", "tls init", "debug bundle"] {
        let refused = metad_line(dir.path(), line);
        assert_eq!(refused.code, 1, "{line}");
        assert!(refused.stderr.contains("is not in this version"), "{line}: {}", refused.stderr);
    }
}

#[test]
fn the_binary_documents_itself() {
    let dir = tempfile::tempdir().unwrap();
    let version = metad_line(dir.path(), "version");
    assert_eq!(version.stdout, format!("metad {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(metad_line(dir.path(), "--version").stdout, version.stdout);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = metad_line(dir.path(), &format!("completions {shell}"));
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        assert!(script.stdout.contains("data-dir"), "{shell} knows the flags of serve");
    }
    assert!(metad_line(dir.path(), "man").stdout.contains(".TH metad 1"));
    assert_eq!(metad_line(dir.path(), "man --dir pages").code, 0);
    let page = fs::read_to_string(dir.path().join("pages/metad-serve.1")).unwrap();
    assert!(
        page.contains("METAD\\_DATA\\_DIR") || page.contains("METAD_DATA_DIR"),
        "variables stand in the page"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = metad(dir.path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
