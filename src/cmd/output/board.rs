//! Work on the seams or segments of a film: one bar for all of them with the one time left, and each one's own below it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use wanctl::pipeline::types::progress::{Parts, share_of_part};

/// More seams than these have a bar only while an engine works on them.
const MOST_ROWS: usize = 8;
const SHARES: u64 = 10_000;

/// All parts that are made, shared by those that make them.
#[derive(Debug)]
pub(crate) struct Board {
    of: &'static str,
    total: ProgressBar,
    bars: MultiProgress,
    clock: Arc<Mutex<Clock>>,
    rows: Mutex<BTreeMap<usize, Row>>,
}

#[derive(Debug)]
struct Row {
    frames: usize,
    generated: usize,
    /// From 0 to 1.
    share: f64,
    made: bool,
    bar: Option<ProgressBar>,
    /// What is being done: `denoise 3/8`.
    doing: String,
}

/// When all of it will be done.
#[derive(Debug)]
struct Clock {
    begun: Instant,
    /// The share that an earlier run had made.
    before: f64,
    share: f64,
    /// When it was last known, and the seconds that were left then.
    left: Option<(Instant, f64)>,
}

impl Clock {
    /// Seconds until the end, now.
    fn left(&self) -> Option<f64> {
        self.left.map(|(known, left)| (left - known.elapsed().as_secs_f64()).max(1.0))
    }

    fn reached(&mut self, share: f64) {
        let now = Instant::now();
        let made = share - self.before;
        // The first moments go into starts and tell nothing.
        if share > self.share && made > 0.002 {
            let spent = (now - self.begun).as_secs_f64();
            self.left = Some((now, spent / made * (1.0 - share)));
        }
        self.share = share.max(self.share);
    }
}

impl Board {
    pub(crate) fn new(bars: &MultiProgress, parts: &Parts) -> Self {
        let now = Instant::now();
        let clock = Arc::new(Mutex::new(Clock { begun: now, before: 0.0, share: 0.0, left: None }));
        let total = bars.add(ProgressBar::new(SHARES));
        let shown = Arc::clone(&clock);
        let left = move |_: &ProgressState, line: &mut dyn Write| {
            let clock = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = match clock.left() {
                Some(left) => write!(line, "{} left", seconds(left)),
                None => write!(line, "{}", seconds(clock.begun.elapsed().as_secs_f64())),
            };
        };
        total.set_style(style("{msg:<9} {wide_bar:.cyan/blue} {prefix}  {left:>14}").with_key("left", left));
        total.set_message("engine");
        let few = parts.all.len() <= MOST_ROWS;
        let board = Self { of: parts.of, total, bars: bars.clone(), clock, rows: Mutex::default() };
        let mut rows = board.rows();
        for part in &parts.all {
            let share = if part.made { 1.0 } else { 0.0 };
            rows.insert(
                part.number,
                Row {
                    frames: part.frames,
                    generated: part.generated,
                    share,
                    made: part.made,
                    bar: None,
                    doing: String::new(),
                },
            );
        }
        for part in parts.all.iter().filter(|part| few && parts.all.len() > 1 && !part.made) {
            board.show(&mut rows, part.number);
        }
        let before = whole(&rows);
        board.clock().before = before;
        board.clock().share = before;
        board.draw(&rows);
        drop(rows);
        board.total.enable_steady_tick(Duration::from_millis(200));
        board
    }

    /// A stage of one part begins, or goes on: so many of its steps, and so much of the next one.
    pub(crate) fn reached(&self, number: usize, part: Option<&'static str>, done: usize, total: usize, next: f64) {
        let mut rows = self.rows();
        let Some(row) = rows.get_mut(&number) else { return };
        if total > 0 {
            let steps = ((done as f64 + next) / total as f64).clamp(0.0, 1.0);
            row.share = share_of_part(part, steps, row.generated).max(row.share);
        }
        let word = part.unwrap_or("engine");
        row.doing = if total > 0 { format!("{word} {done}/{total}") } else { word.to_owned() };
        if rows.len() > 1 {
            self.show(&mut rows, number);
        }
        self.draw(&rows);
    }

    /// One part is made.
    pub(crate) fn made(&self, number: usize) {
        let mut rows = self.rows();
        let few = rows.len() <= MOST_ROWS;
        if let Some(row) = rows.get_mut(&number) {
            (row.share, row.made) = (1.0, true);
            row.doing = "made".into();
            if !few && let Some(bar) = row.bar.take() {
                bar.finish_and_clear();
            }
        }
        self.draw(&rows);
    }

    /// Nobody works on this part for now.
    pub(crate) fn left(&self, number: usize) {
        let mut rows = self.rows();
        let few = rows.len() <= MOST_ROWS;
        if let Some(bar) = rows.get_mut(&number).filter(|_| !few).and_then(|row| row.bar.take()) {
            bar.finish_and_clear();
        }
    }

    /// The share of all, and about how many seconds are left.
    pub(crate) fn all(&self) -> (f64, Option<f64>) {
        let clock = self.clock();
        (clock.share, clock.left())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.rows().len()
    }

    /// Everything as one line of a log.
    pub(crate) fn line(&self) -> String {
        let rows = self.rows();
        let busy = rows.iter().filter(|(_, row)| !row.made && !row.doing.is_empty());
        let busy: Vec<String> = match rows.len() {
            1 => busy.map(|(_, row)| row.doing.clone()).collect(),
            _ => busy.map(|(number, row)| format!("{} {} {}", self.of, number + 1, row.doing)).collect(),
        };
        drop(rows);
        let (share, left) = self.all();
        let left = left.map_or(String::new(), |left| format!(", about {left:.0} s left"));
        let of = if self.count() > 1 { format!(" of {} {}s", self.count(), self.of) } else { String::new() };
        format!("{}: {:.0} %{of}{left}", busy.join(", "), share * 100.0)
    }

    /// The bar of a part, below those of the parts before it.
    fn show(&self, rows: &mut MutexGuard<'_, BTreeMap<usize, Row>>, number: usize) {
        if rows.get(&number).is_none_or(|row| row.bar.is_some()) {
            return;
        }
        let before = rows.range(..number).rev().find_map(|(_, row)| row.bar.clone());
        let bar = self.bars.insert_after(&before.unwrap_or_else(|| self.total.clone()), ProgressBar::new(SHARES));
        bar.set_style(style("  {msg:<12} {wide_bar:.green/blue} {prefix:>14}"));
        bar.set_message(format!("{} {}", self.of, number + 1));
        if let Some(row) = rows.get_mut(&number) {
            row.bar = Some(bar);
        }
    }

    fn draw(&self, rows: &BTreeMap<usize, Row>) {
        let share = whole(rows);
        self.clock().reached(share);
        for row in rows.values() {
            if let Some(bar) = &row.bar {
                bar.set_prefix(if row.doing.is_empty() { "waiting".into() } else { row.doing.clone() });
                bar.set_position((row.share * SHARES as f64) as u64);
            }
        }
        let made = rows.values().filter(|row| row.made).count();
        self.total.set_prefix(match rows.values().next() {
            Some(row) if rows.len() == 1 => row.doing.clone(),
            _ => format!("{made}/{} {}s", rows.len(), self.of),
        });
        self.total.set_position((share * SHARES as f64) as u64);
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<usize, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        for row in self.rows().values() {
            if let Some(bar) = &row.bar {
                bar.finish_and_clear();
            }
        }
        self.total.finish_and_clear();
    }
}

/// The share of all that is made; parts count by their frames.
fn whole(rows: &BTreeMap<usize, Row>) -> f64 {
    let frames: usize = rows.values().map(|row| row.frames).sum();
    rows.values().map(|row| row.share * row.frames as f64).sum::<f64>() / frames.max(1) as f64
}

/// `9 s`, `2 min 05 s`, `1 h 02 min`
fn seconds(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;
    use wanctl::pipeline::types::progress::PartSize;

    use super::*;

    fn board(made: &[bool]) -> Board {
        let part =
            |(number, made): (usize, &bool)| PartSize { number, frames: 10 * (number + 1), generated: 8, made: *made };
        let all = made.iter().enumerate().map(part).collect();
        Board::new(&MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), &Parts { of: "seam", all })
    }

    #[test]
    fn what_is_reached_of_all_only_grows_and_ends_whole() {
        for count in [1, 2, 20] {
            let board = board(&vec![false; count]);
            let mut last = 0.0;
            let mut grows = |board: &Board| {
                let (share, _) = board.all();
                assert!((last..=1.0).contains(&share), "{share} after {last}");
                last = share;
            };
            for number in 0..count {
                for (part, total) in
                    [("prompt", 4), ("encode", 3), ("load", 0), ("denoise", 6), ("load", 0), ("decode", 2)]
                {
                    for done in 0..=total {
                        board.reached(number, Some(part), done, total, 0.0);
                        grows(&board);
                    }
                }
                board.made(number);
                board.left(number);
                grows(&board);
            }
            assert_eq!(board.all().0, 1.0);
        }
    }

    #[test]
    fn parts_count_by_their_frames_and_those_of_an_earlier_run_are_made() {
        let board = board(&[true, false, false]);
        assert_eq!(board.all().0, 10.0 / 60.0);
        board.made(2);
        assert_eq!(board.all().0, 40.0 / 60.0);
        assert_eq!(board.count(), 3);
    }

    #[test]
    fn a_line_names_every_part_that_is_worked_on() {
        let board = board(&[false, false]);
        board.reached(0, None, 1, 4, 0.0);
        board.reached(1, Some("denoise"), 3, 8, 0.0);
        let line = board.line();
        assert!(line.starts_with("seam 1 engine 1/4, seam 2 denoise 3/8: ") && line.contains("% of 2 seams"), "{line}");
        let board = self::board(&[false]);
        board.reached(0, None, 1, 4, 0.0);
        assert!(board.line().starts_with("engine 1/4: "), "{}", board.line());
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!([9.4, 125.0, 3720.0].map(seconds), ["9 s", "2 min 05 s", "1 h 02 min"]);
    }
}
