//! `metad meta`: read and write metadata.
//!
//! Not here: batching (`import`). Must always hold: `get HASH PROPERTY` prints the bytes of the value and nothing else.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::args::Meta;
use super::client::{Call, Client, property_path, segment};
use super::error::{CliError, Exit};
use super::import::{Batch, Importer, verdict};
use super::output::{Output, printable};
use crate::limits::IMPORT_LINE_BYTES_MAX;

/// Runs a command of `meta`.
pub async fn run(command: Meta, client: &Client, out: &mut Output) -> Result<(), CliError> {
    match command {
        Meta::Get { hash, property: None } => get(&hash, client, out).await,
        Meta::Get { hash, property: Some(property) } => get_property(&hash, &property, client, out).await,
        Meta::Set { hash, properties } => set(&hash, properties, client, out).await,
        Meta::Del { hash, property } => del(&hash, property.as_deref(), client, out).await,
        Meta::List => list(client, out).await,
        Meta::Import { file } => import(&file, client, out).await,
        Meta::Export => export(client, out).await,
    }
}

async fn get(hash: &str, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let record = client.json(&Call::new(Method::GET, format!("/meta/{}", segment(hash)))).await?;
    if out.json {
        return out.value(&record);
    }
    let metadata = record["metadata"].as_object().cloned().unwrap_or_default();
    let mut lines: Vec<String> = metadata
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{} = {}", printable(name), printable(&text))
        })
        .collect();
    lines.sort();
    lines.iter().try_for_each(|line| out.line(line))
}

async fn get_property(hash: &str, property: &str, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let response = client.send(&Call::new(Method::GET, property_path(hash, property))).await?;
    let value = response
        .bytes()
        .await
        .map_err(|e| CliError::new(Exit::Unreachable, format!("the value broke off: {e}")))?;
    if out.json {
        // A value that is not UTF-8 stands as base64 beside its name, as in an export.
        let (name, text) = match std::str::from_utf8(&value) {
            Ok(text) => ("value", text.to_owned()),
            Err(_) => ("valueBase64", data_encoding::BASE64.encode(&value)),
        };
        return out.value(&json!({ "hashId": hash, "property": property, name: text }));
    }
    out.bytes(&value)
}

async fn set(
    hash: &str,
    properties: Vec<(String, String)>,
    client: &Client,
    out: &mut Output,
) -> Result<(), CliError> {
    let count = properties.len();
    let body: Map<String, Value> =
        properties.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    let call = Call::json(Method::PATCH, format!("/meta/{}", segment(hash)), &Value::Object(body));
    let answer = client.json(&call).await?;
    if out.json {
        return out.value(&answer);
    }
    out.note(format!("{count} set"));
    Ok(())
}

async fn del(hash: &str, property: Option<&str>, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let path = property.map_or_else(|| format!("/meta/{}", segment(hash)), |p| property_path(hash, p));
    let answer = client.json(&Call::new(Method::DELETE, path)).await?;
    // The old route answers 200 for a record that is not there; a script wants to know.
    if property.is_none() && answer["deleted"].as_u64() == Some(0) {
        return Err(CliError::new(Exit::NotFound, format!("{hash} is not there; nothing was deleted")));
    }
    if out.json {
        return out.value(&answer);
    }
    match answer["deleted"].as_u64() {
        Some(count) => out.note(format!("{count} properties deleted")),
        None => out.note("deleted"),
    }
    Ok(())
}

async fn list(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let mut answer = client.json(&Call::new(Method::GET, "/meta")).await?;
    if out.json {
        return out.value(&answer);
    }
    let mut ids: Vec<String> = match answer["hashIds"].take() {
        Value::Array(ids) => ids.into_iter().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
        _ => return Err(CliError::new(Exit::Other, "the node answered without a list of ids")),
    };
    ids.sort();
    ids.iter().try_for_each(|id| out.line(printable(id)))
}

async fn export(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let call = Call { stream: true, ..Call::new(Method::GET, "/v1/export") };
    let mut response = client.send(&call).await?;
    loop {
        let broken = |why: String| {
            CliError::new(Exit::Unreachable, format!("the export broke off and is not complete: {why}"))
                .fix("run it again")
        };
        match tokio::time::timeout(client.timeout(), response.chunk()).await {
            Ok(Ok(Some(chunk))) => out.bytes(&chunk)?,
            Ok(Ok(None)) => return out.flush(),
            Ok(Err(error)) => return Err(broken(error.to_string())),
            Err(_) => return Err(broken("no more data in time".to_owned())),
        }
    }
}

async fn import(file: &Path, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let source: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(file).map_err(|e| unreadable(file, &e))?)
    };
    // The reader runs ahead by one batch while another is on its way.
    let (sender, mut batches) = tokio::sync::mpsc::channel(1);
    let name = file.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        read_batches(source, &mut |batch| sender.blocking_send(batch).is_ok())
            .map_err(|e| unreadable(&name, &e))
    });
    let mut importer = Importer::new(client, out);
    while let Some(batch) = batches.recv().await {
        importer.send(batch).await?;
    }
    reader.await.expect("the reader does not panic")?;
    let summary = importer.summary();
    if out.json {
        out.value(&summary.to_json())?;
    } else {
        out.note(format!(
            "{} records, {} properties, {} refused",
            summary.imported, summary.properties, summary.failed
        ));
    }
    out.flush()?;
    verdict(summary, 0)
}

fn unreadable(file: &Path, error: &std::io::Error) -> CliError {
    let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
    CliError::new(exit, format!("cannot read {}: {error}", file.display()))
}

/// Cuts the input into batches; empty lines are left out and counted. Stops early when `take` answers false.
fn read_batches(source: impl Read, take: &mut dyn FnMut(Batch) -> bool) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, source);
    let mut batch = Batch::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        if (&mut reader).take(IMPORT_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() > IMPORT_LINE_BYTES_MAX {
            let what = format!("line {number} is longer than {IMPORT_LINE_BYTES_MAX} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            batch.push(number, text);
        }
        if batch.is_full() && !take(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    if !batch.is_empty() {
        take(batch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::IMPORT_REQUEST_LINES;

    #[test]
    fn every_line_is_in_exactly_one_batch() {
        let text: String = (0..IMPORT_REQUEST_LINES * 2 + 1).map(|i| format!("{{\"n\":{i}}}\n\n")).collect();
        let mut sizes = Vec::new();
        read_batches(text.as_bytes(), &mut |batch| {
            sizes.push(batch.len());
            true
        })
        .unwrap();
        assert_eq!(sizes, [IMPORT_REQUEST_LINES, IMPORT_REQUEST_LINES, 1]);
    }

    #[test]
    fn an_endless_line_is_refused_and_not_held() {
        let endless = std::io::repeat(b'x');
        let error = read_batches(endless, &mut |_| true).unwrap_err();
        assert!(error.to_string().contains("line 1 is longer"), "{error}");
    }
}
