"""Makers of DLPack capsules, as other libraries are: on any device, of any version, counting how
often their memory is given back."""

import ctypes as c


class Device(c.Structure):
    _fields_ = [("type", c.c_int32), ("id", c.c_int32)]


class DataType(c.Structure):
    _fields_ = [("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16)]


class Tensor(c.Structure):
    _fields_ = [
        ("data", c.c_void_p),
        ("device", Device),
        ("ndim", c.c_int32),
        ("dtype", DataType),
        ("shape", c.POINTER(c.c_int64)),
        ("strides", c.POINTER(c.c_int64)),
        ("byte_offset", c.c_uint64),
    ]


Deleter = c.CFUNCTYPE(None, c.c_void_p)


class Plain(c.Structure):
    _fields_ = [("tensor", Tensor), ("manager", c.c_void_p), ("deleter", Deleter)]


class Versioned(c.Structure):
    _fields_ = [
        ("major", c.c_uint32),
        ("minor", c.c_uint32),
        ("manager", c.c_void_p),
        ("deleter", Deleter),
        ("flags", c.c_uint64),
        ("tensor", Tensor),
    ]


new_capsule = c.pythonapi.PyCapsule_New
new_capsule.restype = c.py_object
new_capsule.argtypes = [c.c_void_p, c.c_char_p, c.c_void_p]

KINDS = {"f": (2, 32), "d": (2, 64), "B": (1, 8), "i": (0, 32), "l": (0, 64)}


class Maker:
    """An array of another library over the memory of a numpy array."""

    def __init__(self, array, version=(1, 0), device=1, read_only=False, compact=False, offset=0):
        self.array, self.version, self.device = array, version, device
        self.read_only, self.offset = read_only, offset
        self.handed_out = self.given_back = 0
        rank = array.ndim
        self.shape = (c.c_int64 * rank)(*array.shape)
        self.strides = (c.c_int64 * rank)(*[s // array.itemsize for s in array.strides])
        if compact:
            self.strides = None
        # Alive as long as the maker, which the tests keep.
        self.deleter = Deleter(self._give_back)

    def _give_back(self, _):
        self.given_back += 1

    def _tensor(self):
        code, bits = KINDS[self.array.dtype.char]
        data = self.array.ctypes.data - self.offset
        device, dtype = Device(self.device, 0), DataType(code, bits, 1)
        return Tensor(data, device, self.array.ndim, dtype, self.shape, self.strides, self.offset)

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, **options):
        if self.version is None:
            if options:
                raise TypeError("__dlpack__() takes no keyword arguments")
            self.managed, name = Plain(self._tensor(), None, self.deleter), b"dltensor"
        else:
            flags = 1 if self.read_only else 0
            name = b"dltensor_versioned"
            self.managed = Versioned(*self.version, None, self.deleter, flags, self._tensor())
        self.handed_out += 1
        return new_capsule(c.addressof(self.managed), name, None)
