//! Mounting: `mount(2)` by ourselves, or fusermount3 for ordinary users. Both give the session's descriptor.
//!
//! fuser is not asked to mount, because it would then unmount too, and 0.18 may unmount what has since been mounted
//! on the same path by somebody else (its `is_mounted` is inverted).
//!
//! Not here: unmounting in order ([`mod@super::mount`]). Must always hold: read-only, no devices, no set-uid, no programs.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use super::FILESYSTEM_NAME;
use super::error::MountError;

const DEVICE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
/// Descriptor number that the helper is told to send the device through: its standard input.
const HELPER_CHANNEL: &str = "0";

/// Mounts on `path` and returns the descriptor that requests are read from.
pub(super) fn attach(path: &Path, allow_other: bool) -> Result<OwnedFd, MountError> {
    match mount_directly(path, allow_other) {
        Err(MountError::NotPermitted { source }) => mount_by_helper(path, allow_other, source),
        other => other,
    }
}

/// Whether more descriptors of the device can be opened, which one per thread needs.
pub(super) fn can_clone() -> bool {
    open_device().is_ok()
}

fn open_device() -> Result<File, MountError> {
    File::options().read(true).write(true).open(DEVICE).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => MountError::NoDevice,
        // ENODEV and ENXIO: the node is there and the kernel has no FUSE behind it.
        _ if matches!(Errno::from_io_error(&source), Some(Errno::NODEV | Errno::NXIO)) => {
            MountError::NoDevice
        }
        io::ErrorKind::PermissionDenied => MountError::NotPermitted { source },
        _ => MountError::System { step: "open /dev/fuse", source },
    })
}

fn mount_directly(path: &Path, allow_other: bool) -> Result<OwnedFd, MountError> {
    let device = open_device()?;
    let mut options = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if allow_other {
        options.push_str(",allow_other");
    }
    let options = CString::new(options).expect("numbers and words hold no NUL");
    let flags = MountFlags::RDONLY
        | MountFlags::NODEV
        | MountFlags::NOSUID
        | MountFlags::NOEXEC
        | MountFlags::NOATIME;
    let kind = format!("fuse.{FILESYSTEM_NAME}");
    match rustix::mount::mount(FILESYSTEM_NAME, path, kind, flags, Some(options.as_c_str())) {
        Ok(()) => Ok(OwnedFd::from(device)),
        Err(error @ (Errno::PERM | Errno::ACCESS)) => Err(MountError::NotPermitted { source: error.into() }),
        Err(Errno::NODEV) => Err(MountError::NoDevice),
        Err(error) => Err(MountError::System { step: "mount", source: error.into() }),
    }
}

/// Lets the set-uid helper mount; `refused` is why we could not ourselves.
///
/// Source: libfuse, `_FUSE_COMMFD` names a socket that the helper sends the descriptor through.
fn mount_by_helper(path: &Path, allow_other: bool, refused: io::Error) -> Result<OwnedFd, MountError> {
    let (ours, theirs) = UnixStream::pair().map_err(MountError::system("make a socket pair"))?;
    let name = FILESYSTEM_NAME;
    let mut options =
        format!("fsname={name},subtype={name},ro,nodev,nosuid,noexec,noatime,default_permissions");
    if allow_other {
        options.push_str(",allow_other");
    }
    let mut command = Command::new(HELPER);
    command.arg("-o").arg(options).arg("--").arg(path);
    command.env("_FUSE_COMMFD", HELPER_CHANNEL).stdin(Stdio::from(OwnedFd::from(theirs)));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let spawned = command.spawn();
    // The command holds their end of the socket; ours would never see its end otherwise.
    drop(command);
    let helper = spawned.map_err(|_| MountError::NotPermitted { source: refused })?;
    let device = receive(&ours);
    drop(ours);
    let output = helper.wait_with_output().map_err(MountError::system("wait for fusermount3"))?;
    match device {
        Ok(Some(device)) => Ok(device),
        Ok(None) => Err(MountError::Helper {
            path: path.to_path_buf(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
        Err(source) => Err(MountError::System { step: "receive the device from fusermount3", source }),
    }
}

/// The descriptor that the helper sends, or `None` when it ends without one.
fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    }))
}

/// Lets the set-uid helper detach a mount.
pub(super) fn unmount_by_helper(path: &Path) -> io::Result<()> {
    let output = Command::new(HELPER).args(["-u", "-q", "-z", "--"]).arg(path).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
