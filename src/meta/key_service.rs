//! `KeyService`: generic keys, read where they lie.
//!
//! Not here: records, which have methods of their own (`service`). Must always hold: what [`KeyService::look`] shows is
//! one applied index; it is as fresh as the last [`KeyService::freshen`] before it asked for, or fresher.

use metad_raft::{Fatal, Fut};

use super::lookers::Lookers;
use super::service::{MetadataService, ReadOptions, ServiceError};
use super::state::Head;
use super::view::View;

/// What is done with the state at one applied index.
pub type Look<'a> = &'a mut dyn FnMut(&dyn View, &Head) -> Result<(), Fatal>;

/// Metadata and generic keys. A door that shares its answers between commands asks for freshness once.
pub trait KeyService: MetadataService {
    /// Waits until the local state is as fresh as `options` ask for.
    fn freshen(&self, options: ReadOptions) -> Fut<'_, Result<(), ServiceError>>;

    /// Looks at the state of this node, at once. Applying waits meanwhile: keep it short.
    ///
    /// # Errors
    /// `Stopped` when the store fails.
    fn look(&self, look: Look<'_>) -> Result<(), ServiceError>;

    /// Who reads at marks in entries, see [`super::lookers`].
    fn lookers(&self) -> &Lookers;
}
