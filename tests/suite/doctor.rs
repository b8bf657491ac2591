//! `metad doctor` on a node that is well, and on none.
//!
//! Not here: comparisons between nodes (beside their code). Must always hold: a node on an ordinary disk has no failure.

use serde_json::Value;

use crate::support::node::{Home, walk};
use crate::support::{metad, run};

#[test]
fn a_healthy_node_passes_and_its_examination_leaves_nothing() {
    for mode in ["noop", "raft"] {
        let home = Home::of_mode(mode);
        let node = home.start();
        let endpoint = format!("http://{}", node.http);
        let ask = |args: &[&str]| run(metad(&home.path("")).args(["-e", &endpoint]).args(args));
        let json = ask(&["--json", "doctor"]);
        let verdict: Value = serde_json::from_str(&json.stdout).unwrap();
        let checks = verdict["checks"].as_array().unwrap();
        // How fast and how full this machine's disk is, is not the node's doing.
        let failed =
            checks.iter().filter(|c| c["level"] == "fail" && c["name"] != "disk" && c["name"] != "space");
        assert_eq!(failed.count(), 0, "{verdict}");
        for name in [
            "quorum",
            "lag",
            "versions",
            "clocks",
            "state",
            "disk",
            "space",
            "filesystem",
            "open files",
            "rules",
            "log",
        ] {
            assert!(checks.iter().any(|c| c["name"] == name), "{name}: {verdict}");
        }
        for check in checks {
            let advised = !check["advice"].as_str().unwrap().is_empty();
            assert_eq!(advised, check["level"] != "ok", "{check}");
        }
        let failures = verdict["failures"].as_u64().unwrap();
        assert_eq!(json.code, if failures > 0 { 7 } else { 0 });
        assert!(ask(&["doctor"]).stdout.contains("quorum"));
        assert!(!walk(&home.path("data")).iter().any(|f| f.contains("doctor")));
        let address = node.http;
        node.kill();
        let gone = run(metad(&home.path("")).args(["-e", &format!("http://{address}"), "doctor"]));
        assert_eq!(gone.code, 5, "{}", gone.stderr);
    }
}
