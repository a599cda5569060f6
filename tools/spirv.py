"""Reads of a SPIR-V compute module what the GPU layer needs to know: bindings, access, sizes, workgroup size."""
import struct

MAGIC = 0x07230203
OP_NAME_LIMIT = 1 << 22  # ids; a module with more is damaged

OP_EXECUTION_MODE = 16
OP_TYPE_BOOL, OP_TYPE_INT, OP_TYPE_FLOAT, OP_TYPE_VECTOR, OP_TYPE_MATRIX = 20, 21, 22, 23, 24
OP_TYPE_ARRAY, OP_TYPE_RUNTIME_ARRAY, OP_TYPE_STRUCT, OP_TYPE_POINTER = 28, 29, 30, 32
OP_CONSTANT, OP_SPEC_CONSTANT, OP_SPEC_CONSTANT_COMPOSITE, OP_VARIABLE = 43, 50, 51, 59
OP_DECORATE, OP_MEMBER_DECORATE = 71, 72
MODE_LOCAL_SIZE = 17
DECORATION_BUFFER_BLOCK, DECORATION_ARRAY_STRIDE, DECORATION_MATRIX_STRIDE = 3, 6, 7
DECORATION_BUILT_IN, DECORATION_NON_WRITABLE, DECORATION_BINDING = 11, 24, 33
DECORATION_DESCRIPTOR_SET, DECORATION_OFFSET = 34, 35
BUILT_IN_WORKGROUP_SIZE = 25
STORAGE_UNIFORM, STORAGE_WORKGROUP, STORAGE_PUSH_CONSTANT, STORAGE_BUFFER = 2, 4, 9, 12


class Module:
    """Types, decorations and variables of one module."""

    def __init__(self, data):
        if len(data) < 20 or len(data) % 4:
            raise ValueError("not a SPIR-V module")
        words = struct.unpack("<%dI" % (len(data) // 4), data)
        if words[0] != MAGIC or words[3] > OP_NAME_LIMIT:
            raise ValueError("not a SPIR-V module")
        self.version = words[1]
        self.types, self.constants, self.variables = {}, {}, []
        self.decorations, self.member_decorations = {}, {}
        self.workgroup_size, self.composites = None, set()
        position = 5
        while position < len(words):
            count, opcode = words[position] >> 16, words[position] & 0xFFFF
            if count == 0 or position + count > len(words):
                raise ValueError("damaged SPIR-V module")
            self._instruction(opcode, words[position + 1:position + count])
            position += count

    def _instruction(self, opcode, operands):
        if opcode == OP_EXECUTION_MODE and operands[1] == MODE_LOCAL_SIZE:
            self.workgroup_size = tuple(operands[2:5])
        elif OP_TYPE_BOOL <= opcode <= OP_TYPE_POINTER:
            self.types[operands[0]] = (opcode, operands[1:])
        elif opcode in (OP_CONSTANT, OP_SPEC_CONSTANT):
            self.constants[operands[1]] = operands[2]
        elif opcode == OP_SPEC_CONSTANT_COMPOSITE:
            self.composites.add(operands[1])
        elif opcode == OP_VARIABLE:
            self.variables.append((operands[1], operands[0], operands[2]))
        elif opcode == OP_DECORATE:
            self.decorations.setdefault(operands[0], {})[operands[1]] = operands[2] if len(operands) > 2 else True
        elif opcode == OP_MEMBER_DECORATE:
            member = self.member_decorations.setdefault(operands[0], {}).setdefault(operands[1], {})
            member[operands[2]] = operands[3] if len(operands) > 3 else True

    def size(self, type_id, decorated):
        """Bytes of a type; `decorated` follows explicit offsets and strides, else members are packed."""
        opcode, operands = self.types[type_id]
        if opcode == OP_TYPE_BOOL:
            return 4
        if opcode in (OP_TYPE_INT, OP_TYPE_FLOAT):
            return operands[0] // 8
        if opcode in (OP_TYPE_VECTOR, OP_TYPE_MATRIX):
            return operands[1] * self.size(operands[0], decorated)
        if opcode == OP_TYPE_ARRAY:
            stride = self.decorations.get(type_id, {}).get(DECORATION_ARRAY_STRIDE) if decorated else None
            return self.constants[operands[1]] * (stride or self.size(operands[0], decorated))
        if opcode == OP_TYPE_RUNTIME_ARRAY:
            return 0
        if opcode == OP_TYPE_STRUCT:
            end = 0
            for index, member in enumerate(operands):
                decorations = self.member_decorations.get(type_id, {}).get(index, {})
                start = decorations.get(DECORATION_OFFSET, 0) if decorated else end
                stride = decorations.get(DECORATION_MATRIX_STRIDE) if decorated else None
                if stride and self.types[member][0] == OP_TYPE_MATRIX:
                    bytes_of_member = stride * self.types[member][1][1]
                else:
                    bytes_of_member = self.size(member, decorated)
                end = max(end, start + bytes_of_member)
            return end
        raise ValueError("type %d of a block has no size" % opcode)

    def read_only(self, variable, struct_type):
        if DECORATION_NON_WRITABLE in self.decorations.get(variable, {}):
            return True
        members = self.types[struct_type][1]
        decorations = self.member_decorations.get(struct_type, {})
        return all(DECORATION_NON_WRITABLE in decorations.get(index, {}) for index in range(len(members)))


def reflect(data):
    """A dictionary: version, workgroup_size, parameter_size, bindings (count), written (bit mask, bit 0 = binding 1),
    storage ({binding: read only}), shared_size, push_constants."""
    module = Module(data)
    storage, parameter_size, shared_size, push_constants = {}, 0, 0, False
    for variable, pointer_type, storage_class in module.variables:
        pointee = module.types[pointer_type][1][1]
        decorations = module.decorations.get(variable, {})
        if storage_class == STORAGE_WORKGROUP:
            shared_size += module.size(pointee, False)
        elif storage_class == STORAGE_PUSH_CONSTANT:
            push_constants = True
        elif storage_class in (STORAGE_UNIFORM, STORAGE_BUFFER):
            binding = decorations.get(DECORATION_BINDING)
            if binding is None or decorations.get(DECORATION_DESCRIPTOR_SET, 0) != 0:
                raise ValueError("every block needs layout(binding = ...) in set 0")
            block = module.decorations.get(pointee, {})
            if storage_class == STORAGE_BUFFER or DECORATION_BUFFER_BLOCK in block:
                if binding in storage:
                    raise ValueError("binding %d is declared twice" % binding)
                storage[binding] = module.read_only(variable, pointee)
            elif binding != 0:
                raise ValueError("the uniform block of parameters must be binding 0")
            else:
                parameter_size = module.size(pointee, True)
    if module.workgroup_size is None:
        raise ValueError("the workgroup size must be a literal")
    for identifier, decorations in module.decorations.items():
        if decorations.get(DECORATION_BUILT_IN) == BUILT_IN_WORKGROUP_SIZE and identifier in module.composites:
            raise ValueError("the workgroup size must be a literal, not a specialisation constant")
    return {
        "version": module.version,
        "workgroup_size": module.workgroup_size,
        "parameter_size": parameter_size,
        "bindings": max(storage, default=0),
        "written": sum(1 << (binding - 1) for binding, read_only in storage.items() if binding and not read_only),
        "storage": {str(binding): read_only for binding, read_only in storage.items()},
        "shared_size": shared_size,
        "push_constants": push_constants,
    }
