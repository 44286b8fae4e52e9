//! The kinds of numbers that weight files hold.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    #[serde(rename = "f8_e4m3fn")]
    F8E4m3,
    #[serde(rename = "f8_e5m2")]
    F8E5m2,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

/// With the names that safetensors and torch have for them, and their bytes.
const ALL: &[(Dtype, &str, &str, usize)] = &[
    (Dtype::F64, "F64", "float64", 8),
    (Dtype::F32, "F32", "float32", 4),
    (Dtype::F16, "F16", "float16", 2),
    (Dtype::Bf16, "BF16", "bfloat16", 2),
    (Dtype::F8E4m3, "F8_E4M3", "float8_e4m3fn", 1),
    (Dtype::F8E5m2, "F8_E5M2", "float8_e5m2", 1),
    (Dtype::I64, "I64", "int64", 8),
    (Dtype::I32, "I32", "int32", 4),
    (Dtype::I16, "I16", "int16", 2),
    (Dtype::I8, "I8", "int8", 1),
    (Dtype::U64, "U64", "uint64", 8),
    (Dtype::U32, "U32", "uint32", 4),
    (Dtype::U16, "U16", "uint16", 2),
    (Dtype::U8, "U8", "uint8", 1),
    (Dtype::Bool, "BOOL", "bool", 1),
];

impl Dtype {
    pub(super) fn of_safetensors(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, safetensors, ..)| *safetensors == name).map(|(dtype, ..)| *dtype)
    }

    /// `float32`, as in `torch.float32`.
    pub(super) fn of_torch(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, _, torch, _)| *torch == name).map(|(dtype, ..)| *dtype)
    }

    /// Of the classes that torch names its storages by, such as `FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    pub fn bytes(self) -> usize {
        ALL.iter().find(|(dtype, ..)| *dtype == self).map_or(1, |(.., bytes)| *bytes)
    }

    /// What weights can be.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16) || self.is_f8()
    }

    /// The 8-bit floats, which come with a scale more often than not.
    pub fn is_f8(self) -> bool {
        matches!(self, Self::F8E4m3 | Self::F8E5m2)
    }

    /// The bytes of so many numbers; `None` where no machine could count them.
    pub(super) fn bytes_of(self, shape: &[usize]) -> Option<usize> {
        shape.iter().try_fold(self.bytes(), |bytes, side| bytes.checked_mul(*side))
    }

    /// Numbers as f32; only for kinds that scales are stored in.
    pub(super) fn floats(self, bytes: &[u8]) -> Option<Vec<f32>> {
        let f16 = |bytes: &[u8; 2]| {
            let bits = u16::from_le_bytes(*bytes);
            let (sign, exponent, fraction) = (bits >> 15, i32::from((bits >> 10) & 31), f32::from(bits & 1023));
            let size = match exponent {
                0 => fraction * 2_f32.powi(-24),
                31 if fraction == 0.0 => f32::INFINITY,
                31 => f32::NAN,
                exponent => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
            };
            if sign == 1 { -size } else { size }
        };
        Some(match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Self::F64 => bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
            Self::Bf16 => {
                let high = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                bytes.as_chunks().0.iter().map(high).collect()
            }
            Self::F16 => bytes.as_chunks().0.iter().map(f16).collect(),
            _ => return None,
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F8E4m3 => "f8_e4m3fn",
            Self::F8E5m2 => "f8_e5m2",
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U64 => "u64",
            Self::U32 => "u32",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}
