//! Power is lost at a random write: what was acknowledged must be there afterwards.
//!
//! The backend keeps what is durable apart from what was written since the last sync. At the crash
//! a random part of the pending operations reaches the disk, whole or torn at 512-byte sectors, in
//! any order. Each disk crashes twice, the second time soon after recovering from the first.

use super::*;

/// A disk writes sectors whole.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct Disk {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Operation>,
    /// Operations until the power is lost.
    left: u64,
    operations: u64,
    syncs: u64,
    /// Every so many syncs nothing is synced: disks that lie must be found out by this harness.
    lie: Option<u64>,
}

#[derive(Debug, Clone)]
enum Operation {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Operation {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                if image.len() < at + data.len() {
                    image.resize(at + data.len(), 0);
                }
                image[*at..at + data.len()].copy_from_slice(data);
            }
            Self::SetLen(length) => image.resize(*length, 0),
        }
    }

    fn sectors(&self) -> Vec<Self> {
        match self {
            Self::SetLen(_) => vec![self.clone()],
            Self::Write(at, data) => {
                let first = SECTOR - at % SECTOR;
                let mut parts = vec![];
                let (mut start, mut end) = (0, first.min(data.len()));
                while start < data.len() {
                    parts.push(Self::Write(at + start, data[start..end].to_vec()));
                    start = end;
                    end = (end + SECTOR).min(data.len());
                }
                parts
            }
        }
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

/// xorshift64*: the same crashes on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

impl Disk {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }

    /// What the disk holds when the power comes back.
    fn crash(&mut self, random: &mut Random) {
        let keep = random.below(101);
        let mut survivors: Vec<Operation> = vec![];
        for operation in self.pending.drain(..) {
            if random.below(2) == 0 {
                if random.below(100) < keep {
                    survivors.push(operation);
                }
            } else {
                let torn = operation.sectors();
                survivors.extend(torn.into_iter().filter(|_| random.below(100) < keep));
            }
        }
        for operation in survivors {
            operation.apply(&mut self.durable);
        }
        self.current = self.durable.clone();
    }
}

#[derive(Debug, Clone, Default)]
struct CrashStorage(Arc<Mutex<Disk>>, PathBuf);

impl Storage for CrashStorage {
    type Backend = CrashBackend;
    fn open(&self) -> io::Result<CrashBackend> {
        Ok(CrashBackend(Arc::clone(&self.0)))
    }
    fn path(&self) -> &Path {
        &self.1
    }
}

#[derive(Debug)]
struct CrashBackend(Arc<Mutex<Disk>>);

impl StorageBackend for CrashBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let at = size(offset);
        let bytes = disk
            .current
            .get(at..at + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let operation = Operation::SetLen(size(len));
        operation.apply(&mut disk.current);
        disk.pending.push(operation);
        disk.step()
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.step()?;
        disk.syncs += 1;
        if disk
            .lie
            .is_some_and(|every| disk.syncs.is_multiple_of(every))
        {
            return Ok(());
        }
        disk.durable = disk.current.clone();
        disk.pending.clear();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let operation = Operation::Write(size(offset), data.to_vec());
        operation.apply(&mut disk.current);
        disk.pending.push(operation);
        disk.step()
    }
}

/// Works until the power is lost; returns the last acknowledged sequence number.
fn work(storage: &CrashStorage, random: &mut Random, acked: u64) -> Result<u64, String> {
    let Ok((mut journal, replayed)) = RedbJournal::open_in(storage.clone()) else {
        let disk = storage.0.lock().unwrap();
        return if disk.left == 0 {
            Ok(acked)
        } else {
            Err("does not open".to_owned())
        };
    };
    verify(&replayed, acked)?;
    let mut acked = replayed.mark.sequence;
    for round in 0..60 {
        let size = 1 + random.below(39);
        if journal.append(&batch(acked + 1, size)).is_err() {
            break;
        }
        acked += size;
        // Snapshots are part of every crash, too.
        if round % 7 == 3 && journal.staged.is_none() {
            let Ok(replayed) = journal.reader().replay(None) else {
                break;
            };
            let bytes = replayed.state.to_bytes();
            journal.offer(Snapshot {
                mark: replayed.mark,
                bytes,
            });
        }
    }
    Ok(acked)
}

/// Everything acknowledged is there, whole and in order.
fn verify(replayed: &Replayed, acked: u64) -> Result<(), String> {
    let sequence = replayed.mark.sequence;
    if sequence < acked {
        return Err(format!("acknowledged {acked}, found {sequence}"));
    }
    let workloads = replayed.state.workloads();
    let whole = (1..=sequence).all(|n| {
        let workload = workloads.get(&dovetail_model::id::WorkloadId(n));
        workload.is_some_and(|w| w.spec.name.as_str() == format!("job-{n}"))
    });
    if whole {
        Ok(())
    } else {
        Err("a workload is missing or wrong".to_owned())
    }
}

/// One disk, two crashes and a last look.
fn crash_twice(seed: u64, lie: Option<u64>) -> Result<(), String> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let storage = CrashStorage::default();
    let power = [8 + random.below(700), 1 + random.below(60)];
    let mut acked = 0;
    for left in power {
        {
            let mut disk = storage.0.lock().unwrap();
            disk.left = left;
            disk.lie = lie;
        }
        acked = work(&storage, &mut random, acked)?;
        storage.0.lock().unwrap().crash(&mut random);
    }
    storage.0.lock().unwrap().left = u64::MAX;
    let (_, replayed) = RedbJournal::open_in(storage).map_err(|error| format!("{error:?}"))?;
    verify(&replayed, acked)
}

#[test]
fn nothing_acknowledged_is_lost_whenever_the_power_goes() {
    let crashes: u64 = std::env::var("DOVETAIL_CRASHES").map_or(300, |n| n.parse().unwrap());
    for seed in 1..=crashes.div_ceil(2) {
        if let Err(lost) = crash_twice(seed, None) {
            panic!("seed {seed}: {lost}");
        }
    }
}

#[test]
fn the_harness_notices_disks_that_lie() {
    let notices = |seed: &u64| {
        let run = std::panic::catch_unwind(|| crash_twice(*seed, Some(7)));
        run.is_err() || run.is_ok_and(|result| result.is_err())
    };
    let found = (1..=40).filter(notices).count();
    assert!(found > 4, "only {found} of 40 lying disks were found out");
}
