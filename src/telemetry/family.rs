//! Counters, gauges and histograms on atomics, in families by label values, and their text form.
//!
//! The text form is Prometheus's exposition format 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.
//!
//! Not here: which metrics there are (`metrics`).
//! Must always hold: a family has at most [`METRIC_SERIES_MAX`] series, because label values come from outside; what
//! comes after that is counted under `other`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::limits::METRIC_SERIES_MAX;

/// A value that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes over a total that is counted elsewhere; where that begins anew, so does this one.
    pub fn follow(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to the value; a negative `by` takes away.
    pub fn add(&self, by: f64) {
        add_float(&self.0, by);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

fn add_float(cell: &AtomicU64, by: f64) {
    let mut seen = cell.load(Ordering::Relaxed);
    loop {
        let next = (f64::from_bits(seen) + by).to_bits();
        match cell.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// A distribution over fixed buckets.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds, ascending; one more bucket holds the rest.
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one observation, in the metric's unit (seconds for times).
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|b| *b < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        add_float(&self.sum, value);
    }

    /// Counts the time since `start`, in seconds.
    pub fn observe_since(&self, start: std::time::Instant) {
        self.observe(start.elapsed().as_secs_f64());
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }
}

/// What a family is made of.
pub trait Series: Sized {
    /// The word after `# TYPE`.
    const TYPE: &'static str;

    /// A series that has seen nothing. `bounds` are the buckets of a histogram.
    fn fresh(bounds: &'static [f64]) -> Self;

    /// Writes the series' samples. `labels` is `a="b",c="d"` or empty.
    fn render(&self, name: &str, labels: &str, out: &mut String);
}

/// `name{labels}` or the bare name.
fn sample(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(out, "{name}{braces} {value}").expect("writing to a string cannot fail");
}

impl Series for Counter {
    const TYPE: &'static str = "counter";

    fn fresh(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn render(&self, name: &str, labels: &str, out: &mut String) {
        sample(out, name, labels, self.get());
    }
}

impl Series for Gauge {
    const TYPE: &'static str = "gauge";

    fn fresh(_: &'static [f64]) -> Self {
        Self::default()
    }

    fn render(&self, name: &str, labels: &str, out: &mut String) {
        sample(out, name, labels, self.get());
    }
}

impl Series for Histogram {
    const TYPE: &'static str = "histogram";

    fn fresh(bounds: &'static [f64]) -> Self {
        Self::new(bounds)
    }

    fn render(&self, name: &str, labels: &str, out: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        let bounds = self.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            sample(out, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), total);
        }
        sample(out, &format!("{name}_sum"), labels, f64::from_bits(self.sum.load(Ordering::Relaxed)));
        sample(out, &format!("{name}_count"), labels, total);
    }
}

/// A metric: one series, or one for each combination of label values.
#[derive(Debug)]
pub struct Family<S> {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [f64],
    series: RwLock<BTreeMap<Vec<Box<str>>, Arc<S>>>,
}

impl<S: Series> Family<S> {
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        bounds: &'static [f64],
    ) -> Self {
        let family = Self { name, help, labels, bounds, series: RwLock::default() };
        if labels.is_empty() {
            family.with(&[]);
        }
        family
    }

    /// The series of these label values, in the order of the metric's labels. Keep the answer where it is hot.
    ///
    /// # Panics
    /// When the number of values is not that of the labels.
    pub fn with(&self, values: &[&str]) -> Arc<S> {
        assert_eq!(values.len(), self.labels.len(), "{} has the labels {:?}", self.name, self.labels);
        let key: Vec<Box<str>> = values.iter().map(|v| Box::from(*v)).collect();
        if let Some(series) = self.series.read().get(&key) {
            return Arc::clone(series);
        }
        let mut all = self.series.write();
        let key = if all.len() < METRIC_SERIES_MAX { key } else { vec![Box::from("other"); values.len()] };
        Arc::clone(all.entry(key).or_insert_with(|| Arc::new(S::fresh(self.bounds))))
    }

    /// The only series of a metric without labels.
    ///
    /// # Panics
    /// When the metric has labels.
    pub fn get(&self) -> Arc<S> {
        self.with(&[])
    }

    /// Writes the family in the text form; nothing when no series exists yet.
    pub(super) fn render(&self, out: &mut String) {
        let all = self.series.read();
        if all.is_empty() {
            return;
        }
        writeln!(out, "# HELP {} {}\n# TYPE {} {}", self.name, escape_help(self.help), self.name, S::TYPE)
            .expect("writing to a string cannot fail");
        for (values, series) in all.iter() {
            let labels: Vec<String> =
                self.labels.iter().zip(values).map(|(l, v)| format!("{l}=\"{}\"", escape_label(v))).collect();
            series.render(self.name, &labels.join(","), out);
        }
    }
}

fn escape_help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

fn escape_label(text: &str) -> String {
    escape_help(text).replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered<S: Series>(family: &Family<S>) -> String {
        let mut out = String::new();
        family.render(&mut out);
        out
    }

    #[test]
    fn label_values_are_escaped_and_sorted() {
        let family: Family<Counter> = Family::new("m_total", "one\ntwo", &["path"], &[]);
        assert_eq!(rendered(&family), "", "a family without series says nothing");
        family.with(&["b"]).add(7);
        family.with(&["a\"\\\n"]).inc();
        family.with(&["b"]).follow(2);
        let expected = "# HELP m_total one\\ntwo\n# TYPE m_total counter\n\
            m_total{path=\"a\\\"\\\\\\n\"} 1\nm_total{path=\"b\"} 2\n";
        assert_eq!(rendered(&family), expected);
    }

    #[test]
    fn buckets_are_cumulative_and_bounds_inclusive() {
        let family: Family<Histogram> = Family::new("m", "h", &[], &[0.5, 1.0]);
        for value in [0.5, 0.75, 3.0] {
            family.get().observe(value);
        }
        let text = rendered(&family);
        let samples: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "m_bucket{le=\"0.5\"} 1",
                "m_bucket{le=\"1\"} 2",
                "m_bucket{le=\"+Inf\"} 3",
                "m_sum 4.25",
                "m_count 3"
            ]
        );
    }

    #[test]
    fn label_values_from_outside_cannot_grow_a_family_without_end() {
        let family: Family<Gauge> = Family::new("m", "h", &["l"], &[]);
        for i in 0..METRIC_SERIES_MAX + 10 {
            family.with(&[&i.to_string()]).add(1.0);
        }
        assert_eq!(family.series.read().len(), METRIC_SERIES_MAX + 1);
        assert_eq!(family.with(&["other"]).get(), 10.0);
    }
}
