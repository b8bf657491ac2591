//! Golden scripts of every route: a request in, the whole answer out.
//!
//! Not here: promises of the service behind the door. Must always hold: the scripts are the wire contract; a change in
//! them is a change for clients.

mod content;
mod fake;
mod fake_tree;
mod harness;
mod import;
mod limits;
mod real;
mod server;
mod stream;

use test_each_file::test_each_path;

test_each_path! { in "src/http/testscripts" as golden => harness::run }

#[test]
fn every_route_is_described_once_and_in_words() {
    let routes = super::documented();
    let mut seen = std::collections::BTreeSet::new();
    for route in &routes {
        assert!(seen.insert((route.path, route.method)), "{} {} twice", route.method, route.path);
        assert!(route.summary.ends_with('.'), "{} {}", route.method, route.path);
    }
    let document = super::openapi_document();
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
    assert_eq!(described, routes.len());
}
