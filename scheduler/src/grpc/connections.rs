//! Taking connections: as many as the process can bear in all, and not all of them for one user.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, UdsConnectInfo};

/// Connections in all: each is a file descriptor and some memory.
const MAX: usize = 16_384;
/// Connections of one user who is no operator.
const PER_USER: usize = 256;
/// Connections that the server has not taken yet.
const WAITING: usize = 16;
/// Pause after the kernel refused to give a connection: it is out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections by user.
type Counts = Arc<Mutex<BTreeMap<u32, usize>>>;

/// A connection that is counted as long as it lives.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    uid: u32,
    counts: Counts,
}

impl Connection {
    /// The connection, if its user has not too many. Without it, the peer sees its end at once.
    fn admit(stream: UnixStream, counts: &Counts, operator: impl Fn(u32) -> bool) -> Option<Self> {
        let uid = stream.peer_cred().ok()?.uid();
        let mut by_user = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = by_user.values().sum();
        let own = by_user.entry(uid).or_default();
        if all >= MAX || (*own >= PER_USER && !operator(uid)) {
            tracing::debug!(uid, "too many connections");
            return None;
        }
        *own += 1;
        drop(by_user);
        let counts = Arc::clone(counts);
        Some(Self {
            stream,
            uid,
            counts,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut by_user = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = by_user.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                by_user.remove(&self.uid);
            }
        }
    }
}

/// Accepts until nobody takes connections any more.
pub(super) fn accept(
    listener: UnixListener,
    operator: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> ReceiverStream<io::Result<Connection>> {
    let (taken, connections) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let counts = Counts::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = taken.closed() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = Connection::admit(stream, &counts, &operator);
                    if let Some(connection) = connection
                        && taken.send(Ok(connection)).await.is_err()
                    {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(connections)
}

impl Connected for Connection {
    type ConnectInfo = UdsConnectInfo;
    fn connect_info(&self) -> UdsConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_user_does_not_take_every_connection() {
        let counts = Counts::default();
        let open = |operator: bool| {
            let (stream, peer) = UnixStream::pair().unwrap();
            Connection::admit(stream, &counts, move |_| operator).map(|own| (own, peer))
        };
        let mut held: Vec<_> = (0..PER_USER).map(|_| open(false).unwrap()).collect();
        assert!(open(false).is_none());
        assert!(open(true).is_some(), "an operator still gets in");
        held.pop();
        assert!(open(false).is_some(), "a closed one makes room");
        held.clear();
        assert!(counts.lock().unwrap().is_empty());
    }
}
