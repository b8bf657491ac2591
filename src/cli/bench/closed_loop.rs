//! A closed loop: some clients, each with one request on its way at a time, for a while; how many and how fast.
//!
//! Not here: what a request is (each session knows). Must always hold: a request counts when it was answered with success
//! inside the measured time; an error ends the measurement and is never counted as fast.
//!
//! A closed loop hides what a stalled system does to requests that would have come meanwhile ("coordinated omission"): its
//! figures compare systems under the same load, and promise nobody a latency.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

/// One client's connection.
pub trait Session: Send + 'static {
    /// Does request number `n` of this client, to the end of its answer. Returns how many operations it held.
    fn once(&mut self, n: u64) -> impl Future<Output = io::Result<u64>> + Send;
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Not counted: connections warm up.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Operations answered.
    pub operations: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Times of single requests in microseconds, sorted.
    pub micros: Vec<u32>,
}

impl Figures {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.operations as f64 / self.seconds } else { 0.0 }
    }

    /// The time within which the share `q` (0 to 1) of all requests was answered, in milliseconds.
    pub fn quantile_ms(&self, q: f64) -> f64 {
        let Some(last) = self.micros.len().checked_sub(1) else { return 0.0 };
        let at = (q.clamp(0.0, 1.0) * last as f64).round() as usize;
        f64::from(self.micros[at]) / 1000.0
    }
}

/// Runs all sessions at once, each in a task of its own.
pub async fn run<S: Session>(sessions: Vec<S>, span: Span) -> io::Result<Figures> {
    let from = Instant::now() + span.warm_up;
    let to = from + span.measured;
    let clients: Vec<_> = sessions.into_iter().map(|s| tokio::spawn(client(s, from, to))).collect();
    let mut all = Figures { seconds: span.measured.as_secs_f64(), ..Figures::default() };
    for client in clients {
        let one = client.await.map_err(io::Error::other)??;
        all.operations += one.operations;
        all.micros.extend(one.micros);
    }
    all.micros.sort_unstable();
    Ok(all)
}

async fn client<S: Session>(mut session: S, from: Instant, to: Instant) -> io::Result<Figures> {
    let mut seen = Figures::default();
    let mut begun = Instant::now();
    for n in 0.. {
        let operations = session.once(n).await?;
        let ended = Instant::now();
        if ended >= to {
            break;
        }
        if begun >= from {
            seen.operations += operations;
            seen.micros.push(u32::try_from((ended - begun).as_micros()).unwrap_or(u32::MAX));
        }
        begun = ended;
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted(u64);

    impl Session for Counted {
        async fn once(&mut self, n: u64) -> io::Result<u64> {
            assert_eq!(n, self.0, "requests are numbered without a gap");
            self.0 += 1;
            tokio::task::yield_now().await;
            if n == 3 && self.0 == u64::MAX { Err(io::Error::other("never")) } else { Ok(2) }
        }
    }

    struct Broken;

    impl Session for Broken {
        async fn once(&mut self, _: u64) -> io::Result<u64> {
            Err(io::Error::other("broken"))
        }
    }

    fn span() -> Span {
        Span { warm_up: Duration::from_millis(1), measured: Duration::from_millis(20) }
    }

    #[tokio::test]
    async fn operations_are_counted_by_what_a_request_held() {
        let seen = run(vec![Counted(0), Counted(0)], span()).await.unwrap();
        assert_eq!(seen.operations, 2 * seen.micros.len() as u64);
        assert!(seen.rate() > 0.0);
    }

    #[tokio::test]
    async fn an_error_is_no_figure() {
        assert_eq!(run(vec![Broken], span()).await.unwrap_err().to_string(), "broken");
    }

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let seen = Figures { operations: 3, seconds: 1.0, micros: vec![1000, 2000, 9000] };
        assert_eq!([0.0, 0.5, 1.0].map(|q| seen.quantile_ms(q)), [1.0, 2.0, 9.0]);
        assert_eq!(Figures::default().quantile_ms(0.5), 0.0);
    }
}
