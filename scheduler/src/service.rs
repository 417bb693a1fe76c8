//! What the service manager is told: ready, alive, stopping.

use crate::drive::Progress;
use sd_notify::NotifyState;
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// Pings in one watchdog period: one that is lost does no harm.
const PINGS: u32 = 3;

/// Everything is recovered and the socket is open.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The scheduler stops because it was asked to.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog as long as the threads make progress. Returns at once without a watchdog.
pub async fn feed_watchdog(progress: Arc<Progress>) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut pings = interval((period / PINGS).max(Duration::from_millis(1)));
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pings.tick().await;
        if progress.is_made() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("no progress; the watchdog is not fed");
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Without a service manager this does nothing.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "failed to notify the service manager");
    }
}
