//! A client of etcd's v3 API: gRPC by hand over HTTP/2, one connection a client.
//!
//! Not here: anything but Put and Range. Must always hold: an answer counts only with `grpc-status: 0`.
//!
//! Source: etcd's `rpc.proto` (PutRequest, RangeRequest), the gRPC protocol over HTTP/2.

use std::io;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use metad::cli::bench::closed_loop::Session;
use metad::cli::bench::workload::{Workload, record_id};
use tokio::net::TcpStream;

/// One client with a connection of its own.
pub struct EtcdSession {
    requests: Option<SendRequest<Bytes>>,
    address: String,
    workload: Workload,
    client: usize,
    value: Vec<u8>,
}

impl EtcdSession {
    /// Connects client number `client`.
    pub async fn open(
        address: &str,
        workload: Workload,
        client: usize,
        value_bytes: usize,
    ) -> io::Result<Self> {
        if workload == Workload::Import {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "etcd has no import"));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
        // It ends with the session: an error shows in the request that it cuts short.
        tokio::spawn(async move { connection.await.unwrap_or_default() });
        let (address, value) = (address.to_owned(), vec![b'v'; value_bytes]);
        Ok(Self { requests: Some(requests), address, workload, client, value })
    }

    fn message(&self, n: u64) -> (&'static str, Bytes) {
        let key = record_id(self.client, n);
        let mut message = Vec::with_capacity(key.len() + self.value.len() + 16);
        field(&mut message, 1, key.as_bytes());
        let method = match self.workload {
            Workload::Write => {
                field(&mut message, 2, &self.value);
                "Put"
            }
            Workload::ReadStale => {
                // serializable = true
                message.extend_from_slice(&[7 << 3, 1]);
                "Range"
            }
            Workload::Read | Workload::Import => "Range",
        };
        let length = u32::try_from(message.len()).expect("values are short").to_be_bytes();
        let mut framed = vec![0];
        framed.extend_from_slice(&length);
        framed.extend_from_slice(&message);
        (method, framed.into())
    }
}

/// A length-delimited field of Protocol Buffers.
fn field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
}

fn accepted(trailers: &HeaderMap) -> io::Result<()> {
    match trailers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        _ => Err(io::Error::other(format!("etcd refused: {trailers:?}"))),
    }
}

impl Session for EtcdSession {
    async fn once(&mut self, n: u64) -> io::Result<u64> {
        let (method, message) = self.message(n);
        let request = Request::post(format!("http://{}/etcdserverpb.KV/{method}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(io::Error::other)?;
        let requests = self.requests.take().ok_or(io::ErrorKind::NotConnected)?;
        let mut requests = requests.ready().await.map_err(io::Error::other)?;
        let (answer, mut body) = requests.send_request(request, false).map_err(io::Error::other)?;
        self.requests = Some(requests);
        body.send_data(message, true).map_err(io::Error::other)?;
        let mut answer = answer.await.map_err(io::Error::other)?.into_body();
        while let Some(data) = answer.data().await {
            let data = data.map_err(io::Error::other)?;
            answer.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
        }
        let trailers = answer.trailers().await.map_err(io::Error::other)?;
        accepted(&trailers.unwrap_or_default())?;
        Ok(1)
    }
}
