//! The board against a plain look at every node.

use super::super::{
    place, rule,
    tests::clusters::{asks, cluster, queue},
};
use super::*;
use dovetail_model::reason::Reason;
use proptest::prelude::*;

/// The best node by a look at every one, and whether the rooms say what the rules say.
fn looked_up(board: &Board, ask: &Ask<'_>, class: ClassId) -> Option<usize> {
    let nodes = board.view.nodes.iter().zip(&board.rooms).enumerate();
    let scored = nodes.filter_map(|(index, (node, room))| {
        let scored = board
            .scorer
            .score(room, board.interner.classes().demand(class));
        assert_eq!(
            scored,
            board.scored(class, index),
            "what is kept is what is there"
        );
        let value = value(scored);
        let refused = rule::refusal(node, ask, &board.policy);
        assert_eq!(value > 0, refused.is_none(), "{refused:?} on {room:?}");
        let gpus = board.gpus(class, index);
        let allowed: Vec<usize> = rule::fitting_gpus(node, ask, &board.policy).collect();
        assert_eq!(gpus.is_some(), value > 0);
        assert!(gpus.iter().flatten().all(|gpu| allowed.contains(gpu)));
        (value > 0).then_some((Reverse(value), node.tie, index))
    });
    scored.min().map(|(_, _, index)| index)
}

/// What happens to a cluster between decisions.
#[derive(Debug, Clone)]
enum Happening {
    Place(usize),
    Try(usize),
    Close(usize),
    Open(usize),
    Leave(usize),
    CatchUp,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0..100_usize).prop_map(Happening::Place),
        2 => (0..100_usize).prop_map(Happening::Try),
        1 => (0..100_usize).prop_map(Happening::Close),
        1 => (0..100_usize).prop_map(Happening::Open),
        1 => (0..100_usize).prop_map(Happening::Leave),
        2 => Just(Happening::CatchUp),
    ]
}

fn happen(board: &mut Board, queue: &[Ask<'_>], happening: &Happening) {
    let count = board.view.nodes.len();
    match happening {
        Happening::Place(which) => {
            place(board, &queue[which % queue.len()]);
        }
        Happening::Try(which) => {
            let before = (board.view.clone(), board.rooms.clone());
            board.begin_trial();
            place(board, &queue[which % queue.len()]);
            place(board, &queue[(which + 1) % queue.len()]);
            board.end_trial();
            assert_eq!((board.view.clone(), board.rooms.clone()), before);
        }
        Happening::Close(_) | Happening::Open(_) | Happening::Leave(_) if count == 0 => {}
        Happening::Close(which) => {
            let mut node = board.view.nodes[which % count].clone();
            node.closed = Some(Reason::NodeUnreachable);
            board.put(node);
        }
        Happening::Open(which) => {
            let mut node = board.view.nodes[which % count].clone();
            node.closed = None;
            board.put(node);
        }
        Happening::Leave(which) => {
            let name = board.view.nodes[which % count].name.clone();
            board.remove(&name);
        }
        Happening::CatchUp => board.catch_up(),
    }
}

proptest! {
    #[test]
    fn the_best_node_is_the_one_a_look_at_every_node_finds(
        view in cluster(),
        queue in queue(),
        tenants_share_gpus in any::<bool>(),
        happenings in proptest::collection::vec(happening(), 0..40),
    ) {
        let policy = Policy { tenants_share_gpus, ..Policy::default() };
        let asks = asks(&queue);
        // Half the nodes come later, so that kinds and devices are learnt on the way.
        let (now, later): (Vec<_>, Vec<_>) = view.nodes.into_iter().partition(|n| n.tie % 2 == 0);
        let mut board = Board::of(ClusterView::of(now), policy);
        let mut later = later.into_iter();
        for (step, happening) in happenings.iter().enumerate() {
            if step % 4 == 3 {
                later.by_ref().take(1).for_each(|node| board.put(node));
            }
            happen(&mut board, &asks, happening);
            let ask = &asks[step % asks.len()];
            let class = board.class(ask);
            board.settle();
            let expected = looked_up(&board, ask, class);
            prop_assert_eq!(board.best(class), expected);
        }
    }
}
