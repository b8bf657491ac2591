//! Formation as a game: nodes with disks, in every order of starts, crashes and wipes that a seed draws.
//!
//! Not here: sockets. Must always hold: a failure names its seed.

use super::*;

/// A node of the game: what its disk holds, and whether it runs.
#[derive(Clone, Debug)]
struct Player {
    own: Own,
    running: bool,
    /// The log: the voters it was begun with.
    log: Option<Vec<u64>>,
    refused: Option<Refused>,
}

struct Game {
    players: Vec<Player>,
    seed: u64,
    clusters: u64,
}

fn address(n: usize) -> String {
    format!("10.0.0.{n}:9001")
}

fn card(n: usize, incarnation: u64) -> NodeCard {
    NodeCard { name: format!("n{n}"), incarnation, peer: address(n), ..NodeCard::default() }
}

impl Game {
    fn new(size: usize, seed: u64) -> Self {
        let peers: Vec<String> = (1..=size).map(address).collect();
        let player = |n: usize| Player {
            own: Own { card: card(n, n as u64), peers: peers.clone(), chosen: None },
            running: false,
            log: None,
            refused: None,
        };
        Self { players: (1..=size).map(player).collect(), seed, clusters: 0 }
    }

    /// A number below `bound`. Source: Marsaglia's xorshift64.
    fn draw(&mut self, bound: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % bound as u64) as usize
    }

    fn answer(&self, of: usize) -> Heard {
        let player = &self.players[of];
        let card = player.own.card.clone();
        if !player.running {
            return Heard::Nothing("connection refused".into());
        }
        Heard::Said(match (&player.own.chosen, self.founded()) {
            (Some(chosen), true) => {
                Answer::Member { card, cluster_id: chosen.cluster_id.clone(), members: chosen.first.clone() }
            }
            (Some(chosen), false) => {
                let Chosen { cluster_id, first } = chosen.clone();
                Answer::Chosen { card, cluster_id, first }
            }
            (None, _) => Answer::Pristine { card, peers: player.own.peers.clone() },
        })
    }

    fn founded(&self) -> bool {
        self.players.iter().any(|p| p.log.as_ref().is_some_and(|voters| !voters.is_empty()))
    }

    /// One node asks all others and does what follows. The answers may be older than the step: a crash may lie between.
    fn turn(&mut self, of: usize) {
        let player = &self.players[of];
        if !player.running || player.log.is_some() {
            return;
        }
        let others = (0..self.players.len()).filter(|n| *n != of);
        let heard = others.map(|n| (address(n + 1), self.answer(n))).collect();
        match decide(&player.own, &heard) {
            Step::Wait(_) => {}
            Step::Choose(first) => {
                self.clusters += 1;
                let cluster_id = format!("c{}", self.clusters);
                self.players[of].own.chosen = Some(Chosen { cluster_id, first });
            }
            Step::Adopt(chosen) => self.players[of].own.chosen = Some(chosen),
            Step::Start(founder) => {
                let voters = (1..=self.players.len() as u64).collect();
                self.players[of].log = Some(if founder { voters } else { Vec::new() });
            }
            Step::Join { .. } => panic!("nobody admits anybody here"),
            Step::Refuse(why) => {
                self.players[of].refused = Some(why);
                self.players[of].running = false;
            }
        }
    }

    fn wipe(&mut self, of: usize) {
        let incarnation = 100 + self.draw(1 << 20) as u64;
        let own = &mut self.players[of].own;
        (own.card.incarnation, own.chosen) = (incarnation, None);
        self.players[of].log = None;
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            for n in 0..self.players.len() {
                self.turn(n);
            }
        }
    }

    fn agreed(&self) -> Option<String> {
        let ids = self.players.iter().map(|p| p.own.chosen.as_ref().map(|c| c.cluster_id.clone()));
        let ids: std::collections::BTreeSet<_> = ids.collect();
        (ids.len() == 1).then(|| ids.into_iter().next().flatten()).flatten()
    }
}

#[test]
fn whatever_the_order_of_starts_and_crashes_one_cluster_comes_to_be() {
    for seed in 1..2000 {
        let mut game = Game::new(3, seed);
        for _ in 0..30 {
            let n = game.draw(3);
            match game.draw(4) {
                // Started, or killed: what was written down stays.
                0 => game.players[n].running = !game.players[n].running,
                _ => game.turn(n),
            }
            let founders = game.players.iter().filter(|p| p.log.as_ref().is_some_and(|l| !l.is_empty()));
            assert!(founders.count() <= 1, "seed {seed}: {:?}", game.players);
        }
        game.players.iter_mut().for_each(|p| p.running = true);
        game.settle();
        assert!(game.agreed().is_some(), "seed {seed}: {:?}", game.players);
        assert_eq!(game.players[0].log, Some(vec![1, 2, 3]), "seed {seed}");
        assert!(
            game.players[1..].iter().all(|p| p.log == Some(Vec::new())),
            "seed {seed}: {:?}",
            game.players
        );
        assert_eq!(game.clusters, 1, "seed {seed}");
    }
}

#[test]
fn a_wipe_in_the_middle_never_makes_a_second_cluster_that_starts() {
    for seed in 1..2000 {
        let mut game = Game::new(3, seed);
        game.players.iter_mut().for_each(|p| p.running = true);
        let before = game.draw(12);
        for _ in 0..before {
            let n = game.draw(3);
            game.turn(n);
        }
        let wiped = game.draw(3);
        game.wipe(wiped);
        game.settle();
        let started: std::collections::BTreeSet<_> = game
            .players
            .iter()
            .filter(|p| p.log.is_some())
            .map(|p| p.own.chosen.as_ref().map(|c| &c.cluster_id))
            .collect();
        assert!(started.len() <= 1, "seed {seed}: {:?}", game.players);
        let whole = game.players.iter().all(|p| p.log.is_some());
        let told = game.players.iter().any(|p| p.refused.is_some());
        assert!(whole || told, "seed {seed}: nobody says what is wrong: {:?}", game.players);
    }
}

fn pristine(n: usize, peers: &[usize]) -> (String, Heard) {
    let peers = peers.iter().map(|n| address(*n)).collect();
    (address(n), Heard::Said(Answer::Pristine { card: card(n, n as u64), peers }))
}

fn own(n: usize, peers: &[usize]) -> Own {
    let peers = peers.iter().map(|n| address(*n)).collect();
    Own { card: card(n, n as u64), peers, chosen: None }
}

#[test]
fn different_lists_are_refused_on_both_sides() {
    for (ours, theirs) in [([1, 2, 3], [1, 2, 4]), ([1, 2, 4], [1, 2, 3])] {
        let step = decide(&own(1, &ours), &[pristine(2, &theirs)].into());
        assert!(matches!(step, Step::Refuse(Refused::ListsDiffer { .. })), "{step:?}");
    }
}

#[test]
fn two_nodes_of_one_name_are_refused() {
    let mut own = own(1, &[1, 2]);
    own.card.name = "n2".into();
    let step = decide(&own, &[pristine(2, &[1, 2])].into());
    assert!(matches!(step, Step::Refuse(Refused::NamesClash { .. })), "{step:?}");
}

#[test]
fn a_cluster_of_one_named_peer_forms_at_once() {
    let mut own = own(1, &[1]);
    let Step::Choose(first) = decide(&own, &BTreeMap::new()) else { panic!("it waits for nobody") };
    assert_eq!(first.iter().map(|m| m.id).collect::<Vec<_>>(), [1]);
    own.chosen = Some(Chosen { cluster_id: "c".into(), first });
    assert_eq!(decide(&own, &BTreeMap::new()), Step::Start(true));
}

fn member(of: &str, members: Vec<Member>) -> Heard {
    let card = NodeCard { http: "10.0.0.1:9000".into(), ..card(1, 1) };
    Heard::Said(Answer::Member { card, cluster_id: of.into(), members })
}

#[test]
fn a_node_that_a_cluster_lists_joins_and_others_wait_or_are_refused() {
    let own = own(2, &[1, 2]);
    let listed = |incarnation| {
        let members = vec![Member { id: 7, card: card(2, incarnation) }];
        decide(&own, &[(address(1), member("c", members))].into())
    };
    assert!(matches!(listed(2), Step::Join { id: 7, .. }));
    let Step::Refuse(refused) = listed(99) else { panic!("a wiped node is refused") };
    assert!(
        refused.to_string().contains("metad -e http://10.0.0.1:9000 node replace n2 10.0.0.2:9001"),
        "{refused}"
    );
    let Step::Wait(why) = decide(&own, &[(address(1), member("c", Vec::new()))].into()) else {
        panic!("a new node waits")
    };
    assert!(why.contains("node add --name n2 --addr 10.0.0.2:9001"), "{why}");
}

#[test]
fn peers_of_two_clusters_are_refused() {
    let heard = [(address(1), member("c", Vec::new())), (address(3), member("d", Vec::new()))].into();
    let step = decide(&own(2, &[1, 2, 3]), &heard);
    assert!(matches!(step, Step::Refuse(Refused::TwoClusters { .. })), "{step:?}");
}
