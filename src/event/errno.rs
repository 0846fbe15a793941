//! Error numbers of Linux: the ones that a TCP socket can end with.

macro_rules! errnos {
    ($($name:ident = $value:literal),* $(,)?) => {
        $(#[doc = concat!("errno ", $value)] pub const $name: u32 = $value;)*

        /// The name of an error number, or `None` if it is not one that a TCP socket ends with.
        #[must_use]
        pub const fn name(number: u32) -> Option<&'static str> {
            match number {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}
// The same numbers on x86-64, arm64, riscv64 and s390x (include/uapi/asm-generic/errno*.h).
errnos! {
    EPERM = 1, EINTR = 4, EIO = 5, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14,
    EINVAL = 22, EPIPE = 32, ENONET = 64, ECOMM = 70, EPROTO = 71, EMSGSIZE = 90, EPROTOTYPE = 91,
    ENOPROTOOPT = 92, EPROTONOSUPPORT = 93, EOPNOTSUPP = 95, EAFNOSUPPORT = 97, EADDRINUSE = 98,
    EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101, ENETRESET = 102, ECONNABORTED = 103,
    ECONNRESET = 104, ENOBUFS = 105, ETIMEDOUT = 110, ECONNREFUSED = 111, EHOSTDOWN = 112,
    EHOSTUNREACH = 113, ECANCELED = 125, EKEYREJECTED = 129,
}
