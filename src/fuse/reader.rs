//! Reads that come to the daemon, where the kernel cannot read the file itself.
//!
//! What is in the page cache is answered inline: a thread hop costs more than such a read. Only a read that would
//! wait for the disk goes to the pool, under a deadline.
//!
//! Not here: read-ahead (the kernel's). Must always hold: a reply is as long as was asked for, unless the file ends.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use fuser::{Errno, ReplyData};
use rustix::io::ReadWriteFlags;

use super::adapter::Core;
use super::handles::{Pin, Source};

thread_local! {
    /// One buffer per thread: clearing a fresh one would cost as much as a warm read.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Answers a read of an open inode.
pub(super) fn read(core: &Arc<Core>, inode: u64, offset: u64, size: u32, reply: ReplyData) {
    core.handles.counters.reads.add();
    let Some(pin) = core.handles.pin(inode) else { return reply.error(Errno::EBADF) };
    let Source::Cached(file) = &pin.source else {
        // The kernel never asks for what it was told to read by itself.
        return reply.error(Errno::EIO);
    };
    BUFFER.with_borrow_mut(|buffer| {
        let buffer = room(buffer, size);
        if warm(file, buffer, offset) {
            reply.data(buffer);
        } else {
            read_cold(core, Arc::clone(&pin), offset, size, reply);
        }
    });
}

fn room(buffer: &mut Vec<u8>, size: u32) -> &mut [u8] {
    let size = size as usize;
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    &mut buffer[..size]
}

/// Fills the whole buffer from memory, or says no. Source: `RWF_NOWAIT` of preadv2(2).
fn warm(file: &File, buffer: &mut [u8], offset: u64) -> bool {
    let wanted = buffer.len();
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
    read == Ok(wanted)
}

fn read_cold(core: &Arc<Core>, pin: Arc<Pin>, offset: u64, size: u32, reply: ReplyData) {
    core.handles.counters.reads_cold.add();
    let late = Arc::clone(core);
    let promise = core.deadlines.promise(reply, core.options.deadline, move |reply: ReplyData| {
        late.handles.counters.late.add();
        reply.error(Errno::EIO);
    });
    // A refused job is dropped with its promise, and that answers EIO.
    let refused = core.pool.submit(move || {
        let Source::Cached(file) = &pin.source else { return };
        BUFFER.with_borrow_mut(|buffer| {
            let buffer = room(buffer, size);
            let read = read_full(file, buffer, offset);
            let Some(reply) = promise.take() else { return };
            match read {
                Ok(read) => reply.data(&buffer[..read]),
                Err(error) => {
                    tracing::warn!(inode = pin.attr.inode, %error, "a read was answered EIO");
                    reply.error(Errno::EIO);
                }
            }
        });
    });
    if refused.is_err() {
        tracing::warn!("a read was answered EIO: too many wait for the disk");
    }
}

/// Reads until the buffer is full or the file ends; how much that was.
fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
