//! Which segments to compact. Pure: figures in, choice out.

use crate::log::header::SegmentKind;

/// What is known of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) segment: u32,
    pub(crate) kind: SegmentKind,
    pub(crate) highest_sequence: u64,
    pub(crate) records: u32,
    /// Bytes of its records.
    pub(crate) bytes: u64,
    /// Bytes of live records, and of tombstones that cover something.
    pub(crate) useful: u64,
}

impl Figures {
    fn dead(&self) -> u64 {
        self.bytes.saturating_sub(self.useful)
    }

    /// Compares by dead share, the greatest first; the older first where it is the same.
    fn benefit(&self, other: &Figures) -> std::cmp::Ordering {
        let cross = |a: &Figures, b: &Figures| u128::from(a.dead()) * u128::from(b.bytes);
        cross(other, self).cmp(&cross(self, other)).then(self.highest_sequence.cmp(&other.highest_sequence))
    }
}

/// What guides the choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    /// See [`Compaction::space_amplification`](crate::Compaction::space_amplification).
    pub(crate) space_amplification: f64,
    /// Size of a full segment.
    pub(crate) segment_bytes: u64,
    /// Most bytes that can be copied before any come free.
    pub(crate) room: u64,
    /// Whether puts are refused for want of space.
    pub(crate) is_short: bool,
}

/// Most records that a job reads, unless a single segment has more: bounds its memory.
const RECORDS_MAX: u64 = 2_000_000;
/// Most bytes that a job reads in order to copy none of them, unless a single segment has more: what comes free does so little
/// by little.
const DEAD_BYTES_MAX: u64 = 64 << 20;
/// Smallest dead share that is worth copying the rest for: one in so many.
const WORTHWHILE: u64 = 16;

/// The sealed segments all of whose records are older than the newest `retention` bytes of the log, of which the segment
/// in use has `active`.
pub(crate) fn older_than(retention: u64, active: u64, sealed: &[Figures]) -> Vec<Figures> {
    let mut log: Vec<&Figures> = sealed.iter().filter(|figures| figures.kind == SegmentKind::Log).collect();
    log.sort_unstable_by_key(|figures| std::cmp::Reverse(figures.highest_sequence));
    let mut newer = active;
    let kept = log.iter().take_while(|figures| {
        let is_within = newer < retention;
        newer += figures.bytes;
        is_within
    });
    // Compacted segments hold nothing newer than the feed floor, which is below all this.
    let horizon = kept.last().map_or(u64::MAX, |oldest| oldest.highest_sequence);
    let is_older =
        |figures: &&Figures| figures.kind == SegmentKind::Compacted || figures.highest_sequence < horizon;
    sealed.iter().filter(is_older).copied().collect()
}

/// What to compact next, if anything is worth it.
pub(crate) fn choose(candidates: &[Figures], aim: &Aim) -> Vec<Figures> {
    let dead = wholly_dead(candidates);
    if !dead.is_empty() {
        return dead;
    }
    if !aim.is_short && amplification(candidates) <= aim.space_amplification {
        return Vec::new();
    }
    let worthwhile = candidates
        .iter()
        .filter(|figures| figures.dead() >= figures.bytes / WORTHWHILE && figures.dead() > 0);
    let mut best: Vec<Figures> = worthwhile.copied().collect();
    best.sort_unstable_by(Figures::benefit);
    within_room(best, aim.segment_bytes, aim)
}

/// Everything that has anything dead in it, in portions: the next of them, what is wholly dead first and then the oldest.
/// `None` if there is nothing; empty if there is no room for any of it.
pub(crate) fn choose_all(candidates: &[Figures], aim: &Aim) -> Option<Vec<Figures>> {
    let dead = wholly_dead(candidates);
    if !dead.is_empty() {
        return Some(dead);
    }
    let mut some: Vec<Figures> = candidates.iter().filter(|figures| figures.dead() > 0).copied().collect();
    some.sort_unstable_by_key(|figures| figures.highest_sequence);
    (!some.is_empty()).then(|| within_room(some, aim.segment_bytes.saturating_mul(4), aim))
}

/// What gives room back without taking any.
fn wholly_dead(candidates: &[Figures]) -> Vec<Figures> {
    let dead = candidates.iter().filter(|figures| figures.useful == 0).copied().collect();
    within_bounds(dead, |figures| figures.bytes, DEAD_BYTES_MAX)
}

/// The first of them that have at most `useful` useful bytes together, as far as there is room. Short of space, it is the
/// one with the least to copy: if that does not fit, none does, and what it gives back helps the next.
fn within_room(mut figures: Vec<Figures>, useful: u64, aim: &Aim) -> Vec<Figures> {
    figures.retain(|figures| figures.useful <= aim.room);
    if aim.is_short {
        return figures.into_iter().min_by_key(|figures| figures.useful).into_iter().collect();
    }
    within_bounds(figures, |figures| figures.useful, useful.min(aim.room))
}

/// How many times its useful bytes a log has.
pub(crate) fn amplification(candidates: &[Figures]) -> f64 {
    let sum = |of: fn(&Figures) -> u64| candidates.iter().map(of).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
    let ratio = sum(|figures| figures.bytes) as f64 / sum(|figures| figures.useful).max(1) as f64;
    ratio
}

/// How many bytes come free for each that compacting these reads or copies.
pub(crate) fn freed_share(chosen: &[Figures]) -> f64 {
    let sum = |of: fn(&Figures) -> u64| chosen.iter().map(of).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
    let share = sum(Figures::dead) as f64 / sum(|figures| figures.bytes + figures.useful).max(1) as f64;
    share
}

/// How many bytes can be written, while some of the candidates are compacted, before the log has more than so many times
/// its useful bytes.
pub(crate) fn slack(candidates: &[Figures], chosen: &[Figures], space_amplification_max: f64) -> f64 {
    let sum = |some: &[Figures], of: fn(&Figures) -> u64| some.iter().map(of).sum::<u64>();
    let copied = sum(chosen, |figures| figures.useful);
    #[expect(clippy::cast_precision_loss, reason = "a limit needs no more digits")]
    let (bytes, useful) = (
        (sum(candidates, |figures| figures.bytes) + copied) as f64,
        sum(candidates, |figures| figures.useful) as f64,
    );
    (useful * space_amplification_max - bytes).max(0.0)
}

/// The first of them that have at most so many of some bytes together, or a single one.
fn within_bounds(figures: Vec<Figures>, bytes_of: fn(&Figures) -> u64, bytes_max: u64) -> Vec<Figures> {
    let (mut bytes, mut records) = (0, 0);
    let mut fits = |figures: &Figures| {
        let is_first = records == 0;
        bytes += bytes_of(figures);
        records += u64::from(figures.records);
        is_first || (bytes <= bytes_max && records <= RECORDS_MAX)
    };
    figures.into_iter().take_while(|figures| fits(figures)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AIM: Aim = Aim { space_amplification: 1.5, segment_bytes: 1000, room: u64::MAX, is_short: false };

    fn figures(segment: u32, useful: u64) -> Figures {
        let (kind, highest_sequence) = (SegmentKind::Log, u64::from(segment) * 10);
        Figures { segment, kind, highest_sequence, records: 10, bytes: 1000, useful }
    }

    fn numbers(chosen: &[Figures]) -> Vec<u32> {
        chosen.iter().map(|figures| figures.segment).collect()
    }

    #[test]
    fn what_is_wholly_dead_goes_at_once_and_alone() {
        let segments = [figures(1, 1000), figures(2, 0), figures(3, 900), figures(4, 0)];
        assert_eq!(numbers(&choose(&segments, &AIM)), [2, 4]);
    }

    #[test]
    fn what_is_wholly_dead_goes_little_by_little() {
        let dead = |segment, share| Figures { bytes: DEAD_BYTES_MAX / share, ..figures(segment, 0) };
        assert_eq!(numbers(&choose(&[dead(1, 2), dead(2, 4), dead(3, 4), dead(4, 1)], &AIM)), [1, 2, 3]);
        assert_eq!(numbers(&choose(&[dead(4, 1), dead(1, 2)], &AIM)), [4]);
        let whole = Figures { bytes: u64::from(u32::MAX), ..figures(1, 0) };
        assert_eq!(numbers(&choose(&[whole, dead(2, 2)], &AIM)), [1]);
    }

    #[test]
    fn nothing_is_done_below_the_aim() {
        assert!(choose(&[figures(1, 700), figures(2, 650)], &AIM).is_empty());
        assert!(choose(&[], &AIM).is_empty());
    }

    #[test]
    fn the_deadest_go_first_until_an_output_is_filled() {
        let segments = [figures(1, 700), figures(2, 300), figures(3, 500), figures(4, 300), figures(5, 400)];
        assert_eq!(numbers(&choose(&segments, &AIM)), [2, 4, 5]);
    }

    #[test]
    fn all_that_has_anything_dead_is_chosen_oldest_first() {
        let segments = [figures(3, 999), figures(2, 1000), figures(1, 10)];
        assert_eq!(numbers(&choose_all(&segments, &AIM).unwrap()), [1, 3]);
        assert_eq!(choose_all(&[figures(2, 1000)], &AIM), None);
    }

    #[test]
    fn writers_may_write_what_the_limit_leaves_and_what_comes_free() {
        let segments = [figures(1, 800), figures(2, 600), figures(3, 600)];
        // 3000 bytes of which 2000 are useful, and 600 more while the copies stand beside them.
        assert!((slack(&segments, &segments[1..2], 2.0) - 400.0).abs() < 1e-9);
        assert!(slack(&segments, &segments[1..2], 1.5).abs() < 1e-9);
        assert!(slack(&segments, &segments[1..2], f64::INFINITY).is_infinite());
        assert!((freed_share(&segments[1..2]) - 0.25).abs() < 1e-9);
        assert!((freed_share(&[figures(1, 0)]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn no_more_is_chosen_than_there_is_room_for() {
        let segments = [figures(1, 700), figures(2, 300), figures(3, 500), figures(4, 300), figures(5, 400)];
        let chosen = |room| numbers(&choose(&segments, &Aim { room, ..AIM }));
        assert_eq!(chosen(999), [2, 4]);
        assert_eq!(chosen(300), [2]);
        assert_eq!(chosen(299), [0; 0]);
        assert_eq!(choose_all(&segments, &Aim { room: 299, ..AIM }), Some(vec![]));
        assert_eq!(numbers(&choose(&[figures(1, 300), figures(2, 0)], &Aim { room: 0, ..AIM })), [2]);
    }

    #[test]
    fn short_of_space_one_goes_at_a_time_below_the_aim_too() {
        let aim = Aim { is_short: true, ..AIM };
        let segments = [figures(1, 900), figures(2, 800), figures(3, 970)];
        assert_eq!(numbers(&choose(&segments, &aim)), [2]);
        assert_eq!(numbers(&choose_all(&segments, &aim).unwrap()), [2]);
        assert!(choose(&[figures(1, 970)], &aim).is_empty());
        assert!(choose(&segments, &Aim { room: 799, ..aim }).is_empty());
    }

    #[test]
    fn a_single_segment_is_chosen_whatever_its_size() {
        let huge = Figures { records: u32::MAX, ..figures(1, 100) };
        assert_eq!(numbers(&choose(&[huge, figures(2, 100)], &AIM)), [1]);
    }

    #[test]
    fn what_is_newer_than_the_retention_is_left_alone() {
        let compacted = Figures { kind: SegmentKind::Compacted, ..figures(9, 1) };
        let segments = [figures(1, 1), figures(2, 1), figures(3, 1), compacted];
        let older = |retention, active| numbers(&older_than(retention, active, &segments));
        assert_eq!(older(0, 0), [1, 2, 3, 9]);
        assert_eq!(older(1, 0), [1, 2, 9]);
        assert_eq!(older(1, 1), [1, 2, 3, 9]);
        assert_eq!(older(1500, 400), [1, 9]);
        assert_eq!(older(1 << 40, 0), [9]);
    }

    /// A log under uniform overwrites, every record of one byte; compaction is done whenever a segment is full.
    struct Log {
        segment_records: u32,
        /// By key: the segment that holds its newest record.
        newest: Vec<u32>,
        sealed: Vec<Figures>,
        active: u32,
        active_records: u32,
        copied: u64,
        amplification_max: f64,
    }

    impl Log {
        fn put(&mut self, key: usize) {
            let before = std::mem::replace(&mut self.newest[key], self.active);
            if let Some(figures) = self.sealed.iter_mut().find(|figures| figures.segment == before) {
                figures.useful -= 1;
            }
            self.active_records += 1;
            if self.active_records == self.segment_records {
                self.seal();
                self.compact();
            }
        }

        fn seal(&mut self) {
            let (segment, records) = (self.active, self.active_records);
            let useful = self.newest.iter().filter(|newest| **newest == segment).count() as u64;
            let kind = SegmentKind::Log;
            let highest_sequence = u64::from(segment);
            self.sealed.push(Figures {
                segment,
                kind,
                highest_sequence,
                records,
                bytes: records.into(),
                useful,
            });
            self.active += 1;
            self.active_records = 0;
        }

        fn compact(&mut self) {
            let aim = Aim {
                space_amplification: crate::Compaction::default().space_amplification,
                segment_bytes: self.segment_records.into(),
                ..AIM
            };
            loop {
                let inputs = numbers(&choose(&self.sealed, &aim));
                let is_input = |segment: &u32| inputs.contains(segment);
                if inputs.is_empty() {
                    return;
                }
                let useful = self.newest.iter_mut().filter(|segment| is_input(segment));
                self.active_records = useful.fold(0, |records, segment| {
                    *segment = self.active;
                    records + 1
                });
                self.copied += u64::from(self.active_records);
                self.sealed
                    .iter_mut()
                    .filter(|figures| is_input(&figures.segment))
                    .for_each(|figures| figures.useful = 0);
                self.seal();
                // Until the inputs are gone, both they and the output take room.
                self.amplification_max = self.amplification_max.max(amplification(&self.sealed));
                self.sealed.retain(|figures| !is_input(&figures.segment) && figures.bytes > 0);
            }
        }
    }

    #[test]
    fn uniform_overwrites_stay_within_what_is_promised_for_space_and_writes() {
        const KEYS: usize = 16_000;
        let mut log = Log {
            segment_records: 500,
            newest: vec![u32::MAX; KEYS],
            sealed: Vec::new(),
            active: 1,
            active_records: 0,
            copied: 0,
            amplification_max: 0.0,
        };
        (0..KEYS).for_each(|key| log.put(key));
        let (mut random, writes) = (7_u64, 10 * KEYS as u64);
        for _ in 0..writes {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            log.put(usize::try_from(random >> 33).unwrap() % KEYS);
        }
        let written = (writes + log.copied) as f64 / writes as f64;
        println!("space {:.3}, writes {written:.3}", log.amplification_max);
        assert!(log.amplification_max <= 1.6, "space amplification {}", log.amplification_max);
        assert!(written <= 2.2, "write amplification {written}");
    }
}
