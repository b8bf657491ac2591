//! Metrics that are declared are written somewhere.
//!
//! Not here: whether the figure is right. Must always hold: a figure that nobody sets is no line of `/metrics`: it would say 0
//! for ever, and dashboards would believe it.

use std::collections::BTreeSet;

use crate::source::Source;

/// Where all metrics are declared.
const TABLE: &str = "src/telemetry/metrics.rs";

/// Fields of the table, with their lines.
fn declared(table: &str) -> Vec<(usize, &str)> {
    table.lines().enumerate().filter_map(|(n, line)| Some((n + 1, field(line)?))).collect()
}

/// The field that a line declares, if it does.
fn field(line: &str) -> Option<&str> {
    let (kind, rest) = line.strip_prefix("    ")?.split_once(' ')?;
    let field = rest.split(' ').next();
    field.filter(|_| ["Gauge", "Counter", "Histogram"].contains(&kind))
}

/// Fields that code outside of tests takes out of the metrics: whoever takes one writes it, nothing else can be done with it.
fn written(source: &Source) -> BTreeSet<String> {
    let taken = |i: &usize| source.is(*i, &["metrics", "."]) && !source.in_test(*i);
    (0..source.len()).filter(taken).map(|i| source.token(i + 2).to_owned()).collect()
}

fn unwritten(table: &str, written: &BTreeSet<String>) -> Vec<String> {
    let silent = declared(table).into_iter().filter(|(_, field)| !written.contains(*field));
    silent
        .map(|(line, field)| format!("{TABLE}:{line}: nothing sets {field}: set it, or reserve its name"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{none, tree};

    #[test]
    fn every_declared_metric_is_written() {
        let sources = tree::sources();
        let places = tree::places(sources);
        let counts = |s: &&Source| {
            let test = places.get(&s.path).is_some_and(|place| place.test);
            s.path.starts_with("src/") && s.path != TABLE && !test
        };
        let written = sources.iter().filter(counts).flat_map(written).collect();
        let table = tree::read(TABLE).unwrap();
        assert!(declared(&table).len() > 20, "the table was not found");
        none(&unwritten(&table, &written));
    }

    #[test]
    fn a_metric_that_only_a_test_writes_is_seen() {
        let table =
            "metrics! {\n    Gauge a \"a\" [] \"A.\";\n    Counter b_total \"b_total\" [] \"B.\";\n}\n";
        let code = "fn f() { app.metrics.a.get(); }\n#[test]\nfn t() { metrics.b_total.get(); }";
        let found = unwritten(table, &written(&Source::new("src/x.rs", code)));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/telemetry/metrics.rs:3: nothing sets b_total"), "{found:?}");
    }
}
