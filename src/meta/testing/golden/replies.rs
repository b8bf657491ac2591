//! Golden files of responses, refusals and the sessions that keep them.
//!
//! Not here: how doors word them. Must always hold: every variant has a row, see [`variants`].

use bytes::Bytes;

use super::{Case, Row, variants};
use crate::codec::{self, Blob};
use crate::meta::cluster::ClusterReject;
use crate::meta::entry::OpId;
use crate::meta::response::{Reject, Response};
use crate::meta::session::{Session, Verdict};
use crate::meta::stream::{Entry, StreamId};

pub(super) fn cases() -> Vec<Case> {
    let refused = rejects().into_iter().map(|(name, intent, why)| (name, intent, Response::Rejected(why)));
    let by_book = cluster_rejects().into_iter();
    let by_book = by_book.map(|(name, intent, why)| (name, intent, Response::Rejected(why.into())));
    let encode = |response: &Response| Bytes::from(codec::encode(response));
    let decode = codec::decode_shared::<Response>;
    let mut cases: Vec<Case> = responses()
        .into_iter()
        .chain(refused)
        .chain(by_book)
        .map(|row| Case::new(row, encode, decode))
        .collect();
    cases.extend(sessions().map(|row| Case::new(row, Session::encode, Session::decode)));
    cases
}

const ENTRY: StreamId = StreamId { ms: 1_700_000_000_000, seq: 3 };

fn responses() -> Vec<Row<Response>> {
    variants!(Response:
        Response::Done => ("response-done", "Done, nothing to tell", Response::Done),
        Response::Count(_) => ("response-count", "A negative number, zigzag", Response::Count(-300)),
        Response::Flag(_) => ("response-flag", "Something changed", Response::Flag(true)),
        Response::Value(_) => ("response-value", "A value", Response::Value(Blob::from("Face/Off"))),
        Response::Nil => ("response-nil", "There is nothing", Response::Nil),
        Response::List(_) => ("response-list", "Two results in order", Response::List(vec![Response::Flag(false), Response::Nil])),
        Response::Rejected(_) => ("response-rejected", "A refusal with the highest numbers",
            Response::Rejected(Reject::FeatureLevel { asked: u32::MAX, present: u32::MAX })),
        Response::Id(_) => ("response-id", "The id of a stream's entry", Response::Id(ENTRY)),
        Response::Ids(_) => ("response-ids", "Ids of a stream's entries", Response::Ids(vec![ENTRY, StreamId::default()])),
        Response::Entries(_) => ("response-entries", "A stream's entry, and one that was deleted", Response::Entries(vec![
            Entry { id: ENTRY, fields: Some(vec![(Blob::from("name"), Blob::from("value"))]) },
            Entry { id: ENTRY, fields: None },
        ])),
        Response::Once { .. } => ("response-once", "What a request with a key did when it came first",
            Response::Once { index: 300, replayed: true, responses: Some(vec![Response::Flag(true)]) }),
    )
}

fn rejects() -> Vec<Row<Reject>> {
    variants!(Reject:
        Reject::Precondition => ("reject-precondition", "Refused: a guard did not hold", Reject::Precondition),
        Reject::TooManyProperties { .. } => ("reject-too-many-properties", "Refused: too many properties",
            Reject::TooManyProperties { limit: 1024 }),
        Reject::FeatureLevel { .. } => ("reject-feature-level", "Refused: a feature level below the present one",
            Reject::FeatureLevel { asked: 1, present: 2 }),
        Reject::WrongType => ("reject-wrong-type", "Refused: a value of another type", Reject::WrongType),
        Reject::NotInteger => ("reject-not-integer", "Refused: not an integer", Reject::NotInteger),
        Reject::NotFloat => ("reject-not-float", "Refused: not a number", Reject::NotFloat),
        Reject::Overflow => ("reject-overflow", "Refused: the result does not fit", Reject::Overflow),
        Reject::NoSuchKey => ("reject-no-such-key", "Refused: the key is absent", Reject::NoSuchKey),
        Reject::TooLong { .. } => ("reject-too-long", "Refused: the string would be too long", Reject::TooLong { limit: 512 }),
        Reject::TooManyElements { .. } => ("reject-too-many-elements", "Refused: too many elements in one operation", Reject::TooManyElements { limit: 1024 }),
        Reject::Cluster(_) => ("reject-cluster", "Refused by the book of members",
            Reject::Cluster(ClusterReject::NoSuchMember { id: 251 })),
        Reject::IdTooSmall => ("reject-id-too-small", "Refused: an id that is not above the last one", Reject::IdTooSmall),
        Reject::IdZero => ("reject-id-zero", "Refused: the id 0-0", Reject::IdZero),
        Reject::IdsExhausted => ("reject-ids-exhausted", "Refused: no id is left", Reject::IdsExhausted),
        Reject::IdBelowDeleted => ("reject-id-below-deleted", "Refused: a last id below the highest deleted one", Reject::IdBelowDeleted),
        Reject::AddedBelowLength => ("reject-added-below-length", "Refused: fewer added entries than there are", Reject::AddedBelowLength),
        Reject::BusyGroup => ("reject-busy-group", "Refused: the group is there already", Reject::BusyGroup),
        Reject::NoGroup { .. } => ("reject-no-group", "Refused: the group of the second stream is absent", Reject::NoGroup { stream: 1 }),
        Reject::FeatureUnknown { .. } => ("reject-feature-unknown", "Refused: a member does not know the feature level",
            Reject::FeatureUnknown { asked: 300, id: 3, max: 2 }),
        Reject::KeyReused => ("reject-key-reused", "Refused: the key of another request", Reject::KeyReused),
        Reject::ReadOnlySpelling => ("reject-read-only-spelling", "Refused: a spelling that can only be read", Reject::ReadOnlySpelling),
    )
}

fn cluster_rejects() -> Vec<Row<ClusterReject>> {
    variants!(ClusterReject:
        ClusterReject::AnotherCluster => ("reject-cluster-another", "Refused: another cluster", ClusterReject::AnotherCluster),
        ClusterReject::NoSuchMember { .. } => ("reject-cluster-no-such-member", "Refused: not a member", ClusterReject::NoSuchMember { id: 3 }),
        ClusterReject::Removed { .. } => ("reject-cluster-removed", "Refused: removed for good", ClusterReject::Removed { id: 3 }),
        ClusterReject::Taken { .. } => ("reject-cluster-taken", "Refused: a name or address that member 3 has", ClusterReject::Taken { id: 3 }),
        ClusterReject::AnotherIncarnation { .. } => ("reject-cluster-another-incarnation", "Refused: another data directory", ClusterReject::AnotherIncarnation { id: 3 }),
        ClusterReject::FeatureLevel { .. } => ("reject-cluster-feature-level", "Refused: a node that cannot run at the present level",
            ClusterReject::FeatureLevel { level: 300, min: 1, max: 2 }),
        ClusterReject::Full { .. } => ("reject-cluster-full", "Refused: no room for another member", ClusterReject::Full { limit: 32 }),
    )
}

fn sessions() -> impl Iterator<Item = Row<Session>> {
    let mut session = Session::default();
    assert_eq!(session.admit(OpId { node: 1, boot: 4, seq: 8 }, 7), Verdict::New);
    session.remember(9, &[Response::Flag(true), Response::Count(2)]);
    session.remember(11, &[Response::Done]);
    let kept = "A session: boot 4, answered up to 7, applied 9 with its replies and 11 without";
    [("session", kept, session), ("session-new", "A session that has seen nothing", Session::default())]
        .into_iter()
}
