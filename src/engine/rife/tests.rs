//! The network and each piece of the algorithm against the Python of `tests/fixtures/rife`, and what must hold by itself.

use std::collections::HashMap;

use super::{
    affine::{Affine, translation},
    finish::{Moment, finish},
    network::Sight,
    sample::{Read, displaced},
    splat::carried,
    *,
};

const SIZE: Size = Size::new(128, 72);

fn rife() -> Rife {
    // Tests run side by side, and two threads that wait for each other at every small step would crawl.
    tch::set_num_threads(1);
    Rife::load(Device::Cpu, Kind::Float).unwrap()
}

struct Fixture(HashMap<String, Tensor>);

impl Fixture {
    fn open(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/rife/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        Self(Tensor::read_safetensors(path).unwrap().into_iter().collect())
    }

    /// A picture or a field: [1, C, H, W].
    fn field(&self, name: &str) -> Tensor {
        self.0[name].to_kind(Kind::Float).unsqueeze(0)
    }

    /// An 8-bit frame as the network takes it.
    fn picture(&self, name: &str) -> Tensor {
        self.0[name].permute([2, 0, 1]).unsqueeze(0).to_kind(Kind::Float) / 255.0
    }

    fn frames(&self, name: &str) -> Vec<Vec<u8>> {
        let frames = &self.0[name];
        (0..frames.size()[0]).map(|index| Vec::try_from(frames.get(index).reshape([-1])).unwrap()).collect()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        Vec::try_from(self.0[name].to_kind(Kind::Double).reshape([-1])).unwrap()
    }
}

fn slices(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

fn mean_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().mean(Kind::Float).double_value(&[])
}

/// In levels of 255.
fn mean_byte_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn the_network_is_the_one_that_python_runs() {
    let (rife, fixture) = (rife(), Fixture::open("network"));
    let (a, b) = (fixture.picture("a"), fixture.picture("b"));
    for (a, b, t, name) in [
        (&a, &b, 0.5, "between_0.5"),
        (&a, &b, 0.3, "between_0.3"),
        (&a.narrow(2, 0, 37).narrow(3, 0, 50), &b.narrow(2, 0, 37).narrow(3, 0, 50), 0.7, "odd_0.7"),
    ] {
        let off = largest_difference(&rife.between(a, b, t), &fixture.field(name));
        println!("{name}: {off:.1e}");
        assert!(off < 1e-3, "{name}: {off}");
    }
}

/// The clips of the fixture at a seam, as the algorithm sees them.
struct Clips {
    rife: Rife,
    canvas: Canvas,
    fixture: Fixture,
}

impl Clips {
    fn open() -> Self {
        Self { rife: rife(), canvas: Canvas::new(SIZE, Device::Cpu), fixture: Fixture::open("bridge") }
    }

    fn motion(&self, side: Side) -> Motion {
        let mut frames = self.fixture.frames(if side == Side::Before { "before" } else { "after" });
        if side == Side::Before {
            frames.reverse();
        }
        let pictures: Vec<_> = frames.iter().map(|rgb| self.canvas.still(rgb).full).collect();
        Motion::of(&self.rife.network, &pictures, side, Some(hold::REACH))
    }

    fn ends(&self) -> (Moving, Moving) {
        let end = |rgb: &[u8], name| Moving { still: self.canvas.still(rgb), velocity: Some(self.fixture.field(name)) };
        let (before, after) = (self.fixture.frames("before"), self.fixture.frames("after"));
        (end(&before[before.len() - 1], "velocity_before"), end(&after[0], "velocity_after"))
    }

    fn fill(&self, count: usize) -> Filled {
        let (before, after) = (self.fixture.frames("before"), self.fixture.frames("after"));
        self.rife.fill(&slices(&before), &slices(&after), SIZE, count, &mut |_| ()).unwrap()
    }
}

#[test]
fn velocities_at_the_seams_are_the_references() {
    let clips = Clips::open();
    for (side, name, index) in [(Side::Before, "velocity_before", 0), (Side::After, "velocity_after", 1)] {
        let motion = clips.motion(side);
        let off = largest_difference(&motion.velocity(2.0).unwrap(), &clips.fixture.field(name));
        let wanted = clips.fixture.numbers("acceleration")[index];
        println!("{name}: {off:.1e} pixels per frame");
        assert!(off < 0.01, "{name}: {off}");
        assert!((motion.acceleration().unwrap() - wanted).abs() < 1e-3 * wanted, "{name}");
    }
}

#[test]
fn a_doubtful_velocity_is_drawn_to_the_gaps_as_the_reference_does() {
    let clips = Clips::open();
    let (a, b) = clips.ends();
    let (way_a, way_b) = velocity::ways(&clips.rife.network, &a.still.flow, &b.still.flow);
    for (side, way, name) in [(Side::Before, way_a, "steady_before"), (Side::After, way_b, "steady_after")] {
        let motion = clips.motion(side);
        let velocity = motion.velocity(2.0).unwrap();
        let steady = motion.steadied(&velocity, &(way / 10.0), 1.0);
        let wanted = clips.fixture.field(name);
        println!("{name}: {:.1e} pixels per frame", largest_difference(&steady, &wanted));
        assert!(largest_difference(&steady, &wanted) < 0.01, "{name}");
        assert!(mean_difference(&steady, &velocity) > 0.02, "{name}: there is nothing to see");
    }
}

#[test]
fn main_motion_translation_and_splat_are_the_references() {
    let clips = Clips::open();
    let velocity = clips.fixture.field("velocity_before");
    let fit = Affine::fit(&velocity, 1.0);
    for (found, wanted) in fit.0.iter().flatten().zip(clips.fixture.numbers("affine_before")) {
        assert!((found - wanted).abs() < 1e-4, "{fit:?}");
    }
    let (a, b) = clips.ends();
    let Affine([[_, _, across], [_, _, down]]) = translation(&a.still.flow, &b.still.flow);
    assert_eq!(vec![across, down], clips.fixture.numbers("translation"));

    let (found, wanted) = (carried(&velocity, 4.0, 1.0), clips.fixture.field("splatted"));
    let off = mean_difference(&found, &wanted);
    println!("splat: {off:.1e} pixels");
    assert!(off < 0.005, "{off}");
}

#[test]
fn one_finish_is_the_references() {
    let clips = Clips::open();
    let (a, b) = clips.ends();
    let flow = clips.fixture.field("finish.flow");
    let sight =
        Sight { to_a: flow.narrow(1, 0, 2), to_b: flow.narrow(1, 2, 2), mask: clips.fixture.field("finish.mask") };
    let made = finish(&clips.canvas, &a, &b, &sight, Moment { t: 0.4, span: 10.0 });
    for (name, found, bound) in [
        ("finish.picture", &made.picture, 0.5 / 255.0),
        ("finish.velocity", &made.velocity, 0.005),
        ("finish.score", &made.score, 0.5 / 255.0),
    ] {
        let off = mean_difference(found, &clips.fixture.field(name));
        println!("{name}: {off:.1e}");
        assert!(off < bound, "{name}: {off}");
    }
}

#[test]
fn whole_bridges_are_the_references() {
    let clips = Clips::open();
    let (nine, twelve) = (clips.fill(9), clips.fill(12));
    assert_eq!(nine.note, None);
    let held = clips.fixture.frames("held");
    let nines = nine.frames.iter().zip(clips.fixture.frames("bridge"));
    let twelves = twelve.frames.iter().step_by(3).zip(held);
    for (index, (found, wanted)) in nines.chain(twelves).enumerate() {
        let off = mean_byte_difference(found, &wanted);
        println!("frame {index}: {off:.3}");
        assert!(off < 0.5, "frame {index}: {off}");
    }
}

#[test]
fn a_motion_dissolve_is_the_references() {
    let clips = Clips::open();
    let (before, after) = (clips.motion(Side::Before), clips.motion(Side::After));
    let (a, b) = clips.ends();
    let mut frames = vec![];
    dissolve::dissolve(&clips.canvas, (&a.still, &before), (&b.still, &after), 5, &mut |_, rgb| frames.push(rgb));
    for (found, wanted) in frames.iter().step_by(2).zip(clips.fixture.frames("dissolve")) {
        let off = mean_byte_difference(found, &wanted);
        assert!(off < 0.5, "{off}");
    }
}

/// A texture that moves `velocity` pixels per frame to the left: frame `index` of it.
fn texture(size: Size, velocity: f64, index: f64) -> Tensor {
    tch::manual_seed(7);
    let (width, height) = (i64::from(size.width), i64::from(size.height));
    let noise = Tensor::rand([1, 3, height, width], (Kind::Float, Device::Cpu));
    let spread = (sample::blur(&noise, 2.5) - 0.5) * 4.0 + 0.5;
    let shift = Tensor::full([1, 1, height, width], velocity * index, (Kind::Float, Device::Cpu));
    displaced(&spread, &Tensor::cat(&[&shift, &shift.zeros_like()], 1), Read::Bicubic).clamp(0.0, 1.0)
}

/// How far `made` lies from `truth` along x, by least squares over the middle of the picture.
fn shift(made: &Tensor, truth: &Tensor) -> f64 {
    let (height, width) = sample::sides(made);
    let middle = |x: &Tensor| x.narrow(2, height / 4, height / 2).narrow(3, width / 4, width / 2);
    let slope = (truth.roll([-1], [3]) - truth.roll([1], [3])) / 2.0;
    let (slope, off) = (middle(&slope), middle(&(made - truth)));
    (&slope * off).sum(Kind::Float).double_value(&[]) / slope.square().sum(Kind::Float).double_value(&[])
}

#[test]
fn a_moving_texture_keeps_its_speed_over_the_seam_and_through_the_bridge() {
    let (size, count) = (Size::new(192, 112), 16);
    let canvas = Canvas::new(size, Device::Cpu);
    let frame = |index: usize| canvas::rgb(&texture(size, 1.3, index as f64 - 12.0));
    let (before, after): (Vec<_>, Vec<_>) = ((0..8).map(frame).collect(), (24..32).map(frame).collect());
    let bridge = rife().fill(&slices(&before), &slices(&after), size, count, &mut |_| ()).unwrap();
    assert_eq!(bridge.note, None);

    let step = mean_byte_difference(&before[6], &before[7]);
    let seams = [(&before[7], &bridge.frames[0]), (&bridge.frames[count - 1], &after[0])];
    for (left, right) in seams {
        let jump = mean_byte_difference(left, right) / step;
        println!("jump {jump:.2}");
        assert!((jump - 1.0).abs() < 0.1, "{jump}");
    }
    let mut shifts: Vec<_> = bridge
        .frames
        .iter()
        .zip(8..)
        .map(|(made, index)| shift(&canvas.still(made).full, &canvas.still(&frame(index)).full).abs())
        .collect();
    shifts.sort_by(f64::total_cmp);
    println!("shifts {shifts:.2?}");
    assert!(shifts[count / 2] < 0.3, "{shifts:?}");
}

#[test]
fn a_clip_that_stands_still_goes_on_standing() {
    let frame = Clips::open().fixture.frames("before").remove(0);
    let clip = [frame.as_slice(); 4];
    let bridge = rife().fill(&clip, &clip, SIZE, 13, &mut |_| ()).unwrap();
    assert_eq!(bridge.note, None);
    for made in &bridge.frames {
        let furthest = made.iter().zip(&frame).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(furthest <= 1, "{furthest}");
    }
}

#[test]
fn without_context_or_gates_nothing_is_left_but_halving() {
    let rife = rife();
    let frames = Fixture::open("bridge").frames("before");
    let (a, size) = ([frames[5].as_slice()], SIZE);
    let bridge = rife.fill(&a, &a, size, 3, &mut |_| ()).unwrap();
    let halved = rife.halve(&a, &a, size, 3, &mut |_| ()).unwrap();
    for (found, wanted) in bridge.frames.iter().zip(&halved.frames) {
        let off = mean_byte_difference(found, wanted);
        assert!(off < 0.1, "{off}");
    }
}

#[test]
fn unrelated_shots_dissolve_and_it_is_said() {
    let clips = Clips::open();
    assert_eq!(clips.fill(2).note, None);
    let strange: Vec<_> = (0..3).map(|index| canvas::rgb(&texture(SIZE, 2.0, f64::from(index)))).collect();
    let before = clips.fixture.frames("before");
    let bridge = clips.rife.fill(&slices(&before), &slices(&strange), SIZE, 5, &mut |_| ()).unwrap();
    assert!(bridge.note.unwrap().contains("dissolve"));
    assert_eq!(bridge.frames.len(), 5);
}

#[test]
fn pictures_that_tell_nothing_make_frames_all_the_same() {
    let rife = rife();
    for (width, height, count) in [(1, 1, 3), (2, 2, 9), (8000, 10, 2), (10, 500, 9), (65, 33, 13)] {
        let size = Size::new(width, height);
        let black = vec![0; size.rgb_bytes()];
        let noise: Vec<u8> =
            (0..size.rgb_bytes() as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (before, after) in [(&black, &black), (&black, &noise), (&noise, &black)] {
            for context in [1, 2, 5] {
                let (before, after) = (vec![before.as_slice(); context], vec![after.as_slice(); context]);
                let mut reached = vec![];
                let bridge = rife.fill(&before, &after, size, count, &mut |now| reached.push(now)).unwrap();
                let frames = reached.iter().filter_map(|now| match *now {
                    Reached::Frames(done) => Some(done),
                    Reached::Motion { done, total } => {
                        assert!(done <= total, "{size}");
                        None
                    }
                });
                assert_eq!(frames.collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>(), "{size}");
                assert!(bridge.frames.iter().all(|frame| frame.len() == size.rgb_bytes()), "{size}");
                if before == after {
                    assert!(bridge.frames.iter().all(|frame| frame == &black), "{size}");
                }
            }
        }
    }
}

#[test]
fn same_frames_same_bytes() {
    let clips = Clips::open();
    assert_eq!(clips.fill(9), clips.fill(9));
}

#[test]
fn what_cannot_be_filled_is_an_error() {
    torch::silence_stages();
    let (rife, size, frame) = (rife(), Size::new(4, 4), [0_u8; 48]);
    assert_eq!(rife.fill(&[], &[], size, 0, &mut |_| ()).unwrap().frames, Vec::<Vec<u8>>::new());
    let error = rife.fill(&[], &[&frame], size, 1, &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "libtorch failed during making frames: a seam has a clip on each side");
    let error = rife.fill(&[&frame[..9]], &[&frame], size, 1, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("bytes of a frame of 4x4"), "{error}");
}
