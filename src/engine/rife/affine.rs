//! The motion of a whole picture: six numbers, fitted to a flow or found by search.

use tch::{Device, Kind, Tensor};

use super::sample::{Read, difference, displaced, inside, luma, shrunk, sides};

/// A flow in pixels, linear in the place: x and y displacement, each as factors of x, y and 1, where the picture's
/// centre is 0 and its long side runs from -1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Affine(pub [[f64; 3]; 2]);

/// A fit looks at every fourth pixel of every fourth row.
const STRIDE: usize = 4;
const TURNS: usize = 6;
/// Two pictures that share less than this cannot be compared.
const LEAST_OVERLAP: f64 = 0.25;
/// The search for a translation looks at pictures of this length, and this far.
const SEARCH_SIDE: i64 = 64;
const SEARCH_REACH: f64 = 0.4;

impl Affine {
    /// The flow's main motion: least squares again and again, each time believing less in what deviates.
    pub(super) fn fit(flow: &Tensor, unit: f64) -> Self {
        let points = points(flow);
        let medians = [median(points.iter().map(|p| p.flow[0])), median(points.iter().map(|p| p.flow[1]))];
        let mut fit = Self([[0.0, 0.0, medians[0]], [0.0, 0.0, medians[1]]]);
        let mut floor = 0.15;
        for _ in 0..TURNS {
            let off: Vec<f64> =
                points.iter().map(|p| (fit.at(p.place, 0) - p.flow[0]).hypot(fit.at(p.place, 1) - p.flow[1])).collect();
            let scale = median(off.iter().copied()) * 1.5 + floor * unit;
            fit = least_squares(points.iter().zip(off.iter().map(|off| 1.0 / (1.0 + (off / scale).powi(2)))));
            floor = 0.1;
        }
        fit
    }

    fn at(&self, [x, y]: [f64; 2], axis: usize) -> f64 {
        let [by_x, by_y, all] = self.0[axis];
        by_x * x + by_y * y + all
    }

    /// The flow itself: [1, 2, H, W].
    pub(super) fn field(&self, (height, width): (i64, i64), device: Device) -> Tensor {
        let options = (Kind::Double, device);
        let half = height.max(width) as f64 / 2.0;
        let x = ((Tensor::arange(width, options) - (width - 1) as f64 / 2.0) / half).view([1, -1]);
        let y = ((Tensor::arange(height, options) - (height - 1) as f64 / 2.0) / half).view([-1, 1]);
        let axis = |[by_x, by_y, all]: [f64; 3]| &x * by_x + &y * by_y + all;
        Tensor::stack(&[axis(self.0[0]), axis(self.0[1])], 0).unsqueeze(0).to_kind(Kind::Float)
    }

    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self(self.0.map(|axis| axis.map(|number| number * factor)))
    }

    pub(super) fn mean(&self, other: &Self) -> Self {
        let mut mean = self.scaled(0.5);
        mean.0.iter_mut().flatten().zip(other.0.iter().flatten()).for_each(|(mean, other)| *mean += other / 2.0);
        mean
    }

    pub(super) fn largest(&self) -> f64 {
        self.0.iter().flatten().fold(0.0, |largest: f64, number| largest.max(number.abs()))
    }
}

struct Point {
    place: [f64; 2],
    flow: [f64; 2],
}

fn points(flow: &Tensor) -> Vec<Point> {
    let (height, width) = sides(flow);
    let half = height.max(width) as f64 / 2.0;
    let sparse = flow.slice(2, None, None, STRIDE as i64).slice(3, None, None, STRIDE as i64);
    let numbers = numbers(&sparse);
    let (rows, columns) = ((height as usize).div_ceil(STRIDE), (width as usize).div_ceil(STRIDE));
    let place = |index: usize, side: i64| ((index * STRIDE) as f64 - (side - 1) as f64 / 2.0) / half;
    let point = |index: usize| Point {
        place: [place(index % columns, width), place(index / columns, height)],
        flow: [f64::from(numbers[index]), f64::from(numbers[rows * columns + index])],
    };
    (0..rows * columns).map(point).collect()
}

/// The lower one where there are two, as PyTorch has it.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    let middle = (numbers.len() - 1) / 2;
    *numbers.select_nth_unstable_by(middle, f64::total_cmp).1
}

fn least_squares<'p>(points: impl Iterator<Item = (&'p Point, f64)>) -> Affine {
    // Normal equations, with a little of nothing added so that one point is enough.
    let mut rows = [[1e-3, 0.0, 0.0, 0.0, 0.0], [0.0, 1e-3, 0.0, 0.0, 0.0], [0.0, 0.0, 1e-3, 0.0, 0.0]];
    for (Point { place: [x, y], flow: [u, v] }, weight) in points {
        let terms = [*x, *y, 1.0];
        for (row, term) in rows.iter_mut().zip(terms) {
            let known = [terms[0], terms[1], terms[2], *u, *v];
            row.iter_mut().zip(known).for_each(|(sum, known)| *sum += weight * term * known);
        }
    }
    // Gauss and Jordan; positive definite, so any order of pivots will do.
    for pivot in 0..3 {
        let divisor = rows[pivot][pivot];
        rows[pivot].iter_mut().for_each(|number| *number /= divisor);
        let row = rows[pivot];
        for (_, other) in rows.iter_mut().enumerate().filter(|(index, _)| *index != pivot) {
            let factor = other[pivot];
            other.iter_mut().zip(row).for_each(|(number, own)| *number -= factor * own);
        }
    }
    Affine([3, 4].map(|axis| [rows[0][axis], rows[1][axis], rows[2][axis]]))
}

/// Two pictures at half their size, to be compared under many motions.
#[derive(Debug)]
pub(super) struct Pair {
    a: Tensor,
    b: Tensor,
}

impl Pair {
    pub(super) fn new(a: &Tensor, b: &Tensor) -> Self {
        let (height, width) = sides(a);
        let half = ((height / 2).max(1), (width / 2).max(1));
        Self { a: shrunk(a, half), b: shrunk(b, half) }
    }

    /// How badly the two agree when each goes half of `motion` towards the other: 0 to 0.28, and 9 without overlap.
    pub(super) fn disagreement(&self, motion: &Affine) -> f64 {
        let flow = motion.field(sides(&self.a), self.a.device()) / 4.0;
        let back = -&flow;
        let both = inside(&back) * inside(&flow);
        let overlap = both.mean(Kind::Float).double_value(&[]);
        if overlap < LEAST_OVERLAP {
            return 9.0;
        }
        let (a, b) = (displaced(&self.a, &back, Read::Bilinear), displaced(&self.b, &flow, Read::Bilinear));
        let off = (difference(&a, &b).clamp_max(0.25) * both).mean(Kind::Float).double_value(&[]) / overlap;
        off * (1.0 + 0.1 * (1.0 - overlap))
    }
}

/// The translation from `a` to `b` that makes them most alike, by trying all at thumbnail size.
pub(super) fn translation(a: &Tensor, b: &Tensor) -> Affine {
    let (height, width) = sides(a);
    let long = height.max(width);
    let side = |side: i64| ((SEARCH_SIDE * side) as f64 / long as f64).round_ties_even().max(16.0) as i64;
    let (rows, columns) = (side(height), side(width));
    let thumbnail = |x: &Tensor| {
        let small = shrunk(&luma(x), (rows, columns));
        numbers(&(&small - small.mean(Kind::Float)))
    };
    let (a, b) = (thumbnail(a), thumbnail(b));
    let off = |across: i64, down: i64| {
        let (width, height) = ((columns - across.abs()) as usize, rows - down.abs());
        let start = |row: i64, across: i64, down: i64| ((row + down.max(0)) * columns + across.max(0)) as usize;
        let line = |row: i64| {
            let (a, b) = (&a[start(row, -across, -down)..][..width], &b[start(row, across, down)..][..width]);
            f64::from(a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>())
        };
        let far = across.abs() as f64 / columns as f64 + down.abs() as f64 / rows as f64;
        (0..height).map(line).sum::<f64>() / (width as i64 * height) as f64 * (1.0 + 0.15 * far)
    };
    let reach = |side: i64| (side as f64 * SEARCH_REACH) as i64;
    let mut best = (off(0, 0), 0, 0);
    for down in -reach(rows)..=reach(rows) {
        for across in -reach(columns)..=reach(columns) {
            let off = off(across, down);
            if off < best.0 {
                best = (off, across, down);
            }
        }
    }
    let (_, across, down) = best;
    Affine([
        [0.0, 0.0, across as f64 * width as f64 / columns as f64],
        [0.0, 0.0, down as f64 * height as f64 / rows as f64],
    ])
}

/// A tensor's numbers in order.
pub(super) fn numbers(x: &Tensor) -> Vec<f32> {
    let x = x.to_device(Device::Cpu).contiguous();
    let mut numbers = vec![0.0; x.numel()];
    x.copy_data(&mut numbers, x.numel());
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_finds_the_motion_of_most_pixels_and_leaves_the_movers_out() {
        let truth = Affine([[2.0, -0.5, 3.0], [0.25, 1.5, -4.0]]);
        let flow = truth.field((90, 160), Device::Cpu);
        let mut mover = flow.narrow(2, 20, 40).narrow(3, 30, 50);
        mover += 9.0;
        let fit = Affine::fit(&flow, 1.0);
        for (found, wanted) in fit.0.iter().flatten().zip(truth.0.iter().flatten()) {
            assert!((found - wanted).abs() < 0.05, "{fit:?}");
        }
    }

    #[test]
    fn pictures_of_one_pixel_and_of_one_row_have_a_motion() {
        for shape in [[1, 2, 1, 1], [1, 2, 1, 640]] {
            let fit = Affine::fit(&Tensor::full(shape, 2.0, (Kind::Float, Device::Cpu)), 1.0);
            assert!((fit.0[0][2] - 2.0).abs() < 0.01, "{fit:?}");
            let picture = Tensor::rand([1, 3, shape[2], shape[3]], (Kind::Float, Device::Cpu));
            assert_eq!(translation(&picture, &picture).largest(), 0.0);
            assert_eq!(Pair::new(&picture, &picture).disagreement(&Affine([[0.0; 3]; 2])), 0.0);
        }
    }
}
