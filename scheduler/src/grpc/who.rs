//! Who asks: the kernel's word about the other end of the socket, never the request's.

use dovetail_core::input::Caller;
use dovetail_model::{id::Tenant, workload::Owner};
use dovetail_proto::convert::Violations;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;
use tonic::{Request, Status, transport::server::UdsConnectInfo};

/// How long a user's groups are remembered: the lookup may go over the network.
const GROUPS_TTL: Duration = Duration::from_secs(30);
/// Users whose groups are remembered.
const USERS_MAX: usize = 4096;

/// Supplementary groups by uid and gid, and when they were looked up.
type Known = BTreeMap<(u32, u32), (Instant, Vec<u32>)>;

/// Tells callers apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    operators: Arc<BTreeSet<u32>>,
    known: Arc<Mutex<Known>>,
}

impl Identity {
    pub(super) fn new(operators: BTreeSet<u32>) -> Self {
        Self {
            operators: Arc::new(operators),
            known: Arc::default(),
        }
    }

    pub(super) fn is_operator(&self, uid: u32) -> bool {
        self.operators.contains(&uid)
    }

    /// The peer of the connection that a request came over.
    pub(super) fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let info = request.extensions().get::<UdsConnectInfo>();
        let peer = info
            .and_then(|info| info.peer_cred)
            .ok_or_else(|| Status::unauthenticated("the kernel does not say who you are"))?;
        let uid = peer.uid();
        Ok(Caller {
            tenant: Tenant(format!("uid:{uid}").into()),
            owner: Owner {
                uid,
                gid: peer.gid(),
                groups: Vec::new(),
            },
            operator: self.is_operator(uid),
        })
    }

    /// Whom a caller's work runs as: the user that is named, else the caller, with all groups.
    pub(super) async fn owner(&self, caller: &Caller, named: &str) -> Result<Owner, Violations> {
        let identity = self.clone();
        let (peer, named) = (caller.owner.clone(), named.to_owned());
        let looked_up = spawn_blocking(move || {
            if named.is_empty() {
                return Ok(identity.with_groups(peer.uid, peer.gid));
            }
            let user = user(&named)?;
            Ok(identity.with_groups(user.uid.as_raw(), user.gid.as_raw()))
        });
        let died = |_| Err(Violations::one("workload.user", "cannot be looked up"));
        looked_up.await.unwrap_or_else(died)
    }

    fn with_groups(&self, uid: u32, gid: u32) -> Owner {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known
            .get(&(uid, gid))
            .filter(|(at, _)| at.elapsed() < GROUPS_TTL);
        if let Some((_, groups)) = fresh {
            let groups = groups.clone();
            return Owner { uid, gid, groups };
        }
        drop(known);
        let groups = groups(uid, gid);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= USERS_MAX {
            known.clear();
        }
        known.insert((uid, gid), (Instant::now(), groups.clone()));
        Owner { uid, gid, groups }
    }
}

/// A user by name or number.
fn user(named: &str) -> Result<User, Violations> {
    let bad = |text: String| Violations::one("workload.user", text);
    let found = match named.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(named),
    };
    match found {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(bad(format!(
            "must be a user of the scheduler's host, `{named}` is none"
        ))),
        Err(error) => Err(bad(format!("cannot be looked up: {error}"))),
    }
}

/// Supplementary groups, sorted; a user whom no database knows has none.
fn groups(uid: u32, gid: u32) -> Vec<u32> {
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = name.and_then(|user| CString::new(user.name).ok());
    let groups = name.and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok());
    let groups: BTreeSet<u32> = groups
        .into_iter()
        .flatten()
        .map(Gid::as_raw)
        .filter(|group| *group != gid)
        .collect();
    groups.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32) -> Caller {
        Caller {
            tenant: Tenant(format!("uid:{uid}").into()),
            owner: Owner {
                uid,
                gid: uid,
                groups: vec![],
            },
            operator: false,
        }
    }

    #[tokio::test]
    async fn work_runs_as_the_caller_unless_a_user_is_named() {
        let identity = Identity::default();
        let own = identity.owner(&caller(4_000_000), "").await.unwrap();
        assert_eq!(
            (own.uid, own.gid, own.groups),
            (4_000_000, 4_000_000, vec![])
        );
        for root in ["root", "0"] {
            assert_eq!(identity.owner(&caller(1), root).await.unwrap().uid, 0);
        }
    }

    #[tokio::test]
    async fn a_user_nobody_knows_is_a_bad_field() {
        for unknown in ["no-such-user", "3999999999"] {
            let error = Identity::default()
                .owner(&caller(1), unknown)
                .await
                .unwrap_err();
            assert_eq!(error.0[0].field, "workload.user");
        }
    }
}
