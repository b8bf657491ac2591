//! The one table of routes: the router, `Allow`, `/openapi.json` and the documentation test come from it.
//!
//! Not here: handlers. Must always hold: a route that is not in the table does not exist.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::handles::{App, Door, Handles};
use super::{
    cluster, doctor, editor, events, export, files, fuse_api, fuse_rules, gate, health, import, kv, openapi,
    property, record, rules, snapshot, status,
};

/// What a route is, for documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteDoc {
    /// HTTP method.
    pub method: &'static str,
    /// Path template; `{*name}` takes the rest of the path, slashes included.
    pub path: &'static str,
    /// The group it is listed under.
    pub group: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

struct Row {
    doc: RouteDoc,
    handler: MethodRouter<App>,
}

/// The routes of one file.
pub(super) struct Group {
    name: &'static str,
    rows: Vec<Row>,
}

impl Group {
    /// An empty group.
    pub fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    fn on<H, T>(
        mut self,
        (filter, method): (MethodFilter, &'static str),
        path: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let doc = RouteDoc { method, path, group: self.name, summary };
        self.rows.push(Row { doc, handler: on(filter, handler) });
        self
    }

    /// A GET route; HEAD comes with it.
    pub fn get<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        summary: &'static str,
        h: H,
    ) -> Self {
        self.on((MethodFilter::GET, "GET"), path, summary, h)
    }

    /// A PUT route.
    pub fn put<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        summary: &'static str,
        h: H,
    ) -> Self {
        self.on((MethodFilter::PUT, "PUT"), path, summary, h)
    }

    /// A POST route.
    pub fn post<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        summary: &'static str,
        h: H,
    ) -> Self {
        self.on((MethodFilter::POST, "POST"), path, summary, h)
    }

    /// A PATCH route.
    pub fn patch<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        summary: &'static str,
        h: H,
    ) -> Self {
        self.on((MethodFilter::PATCH, "PATCH"), path, summary, h)
    }

    /// A DELETE route.
    pub fn delete<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        summary: &'static str,
        h: H,
    ) -> Self {
        self.on((MethodFilter::DELETE, "DELETE"), path, summary, h)
    }
}

fn rows() -> impl Iterator<Item = Row> {
    let groups = [
        health::routes(),
        record::routes(),
        property::routes(),
        files::routes(),
        fuse_api::routes(),
        fuse_rules::routes(),
        rules::routes(),
        events::routes(),
        status::routes(),
        cluster::routes(),
        doctor::routes(),
        import::routes(),
        export::routes(),
        snapshot::routes(),
        editor::routes(),
        kv::routes(),
        openapi::routes(),
    ];
    groups.into_iter().flat_map(|group| group.rows)
}

/// Every route, in the order of the documentation.
pub fn documented() -> Vec<RouteDoc> {
    rows().map(|row| row.doc).collect()
}

/// The router: bind it as often as there are ports.
pub fn router(handles: Handles) -> Router {
    let app: App = Arc::new(Door::new(handles));
    rows()
        .fold(Router::new(), |router, row| router.route(row.doc.path, row.handler))
        .fallback(gate::unknown_route)
        .method_not_allowed_fallback(gate::wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), gate::gate))
        .with_state(app)
}
