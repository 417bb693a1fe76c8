//! The mapped state under many readers, many writers and writers that die.

use super::*;

fn state_with(gpus: &[GpuRecord]) -> (tempfile::TempDir, State) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let host = HostRecord {
        gpu_count: gpus.len() as u64,
        cpus: 4,
        ..HostRecord::default()
    };
    State::create(&path, &host, gpus).unwrap();
    let state = State::open(&path).unwrap();
    (directory, state)
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let mut gpu = GpuRecord {
        name: Text::new("NVIDIA L4"),
        minor: 7,
        ..GpuRecord::default()
    };
    gpu.processes.0[63].pid = 42;
    gpu.events.0[15] = 79;
    let (_directory, state) = state_with(&[GpuRecord::default(), gpu]);
    assert_eq!(state.read(1), Some(gpu));
    assert_eq!(state.read(0), Some(GpuRecord::default()));
    assert_eq!(state.read(2), None);
}

#[test]
fn a_change_is_seen_through_another_mapping() {
    let (directory, state) = state_with(&[GpuRecord::default()]);
    let other = State::open(&directory.path().join("state")).unwrap();
    state.update(0, |gpu| gpu.utilization = 73).unwrap();
    assert_eq!(other.read(0).unwrap().utilization, 73);
}

#[test]
fn updates_of_many_threads_and_mappings_are_all_counted() {
    const ROUNDS: u64 = 300;
    let (directory, state) = state_with(&[GpuRecord::default()]);
    let other = State::open(&directory.path().join("state")).unwrap();
    let raise = |state: &State| {
        for _ in 0..ROUNDS {
            state
                .update(0, |gpu| gpu.utilization += 1)
                .unwrap()
                .unwrap();
        }
    };
    std::thread::scope(|scope| {
        for mapping in [&state, &state, &other] {
            scope.spawn(move || raise(mapping));
        }
    });
    assert_eq!(state.read(0).unwrap().utilization, 3 * ROUNDS);
}

#[test]
fn a_copy_is_never_torn_between_two_updates() {
    let (_directory, state) = state_with(&[GpuRecord::default()]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let (sequence, words) = state.slot(0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut gpu = GpuRecord::default();
            while !done.load(Ordering::Relaxed) {
                gpu.minor += 1;
                gpu.processes.0[63].utilization += 1;
                store(sequence, words, &encode(&gpu));
            }
        });
        let torn = (0..20_000).map(|_| state.read(0).unwrap());
        let torn = torn
            .filter(|gpu| gpu.minor != gpu.processes.0[63].utilization)
            .count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(torn, 0);
    });
}

#[test]
fn a_writer_that_died_in_the_middle_blocks_neither_readers_nor_the_next_writer() {
    let (_directory, state) = state_with(&[GpuRecord::default()]);
    let (sequence, _) = state.slot(0).unwrap();
    sequence.store(5, Ordering::Relaxed);
    assert!(state.read(0).is_some());
    state.update(0, |gpu| gpu.utilization = 9).unwrap();
    assert_eq!(state.slot(0).unwrap().0.load(Ordering::Relaxed), 6);
    assert_eq!(state.read(0).unwrap().utilization, 9);
}

#[test]
fn what_is_not_a_state_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    assert!(matches!(
        State::open(&path),
        Err(OpenStateError::Open { .. })
    ));
    for size in [0, 8, 4096, 1 << 20] {
        std::fs::write(&path, vec![1; size]).unwrap();
        assert!(
            matches!(State::open(&path), Err(OpenStateError::Layout { .. })),
            "{size}"
        );
    }
}
