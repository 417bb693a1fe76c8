"""Reads a simulated host through nvidia-ml-py, prints what it says, and checks it.

Arguments: the expected number of GPUs, the expected name of each, and the id and memory in bytes of
the process on GPU 0. The library is found as on a real host: by the loader, as libnvidia-ml.so.1.
"""

import re
import sys

import pynvml


def main(count, name, pid, memory):
    pynvml.nvmlInit()
    print(f"driver {pynvml.nvmlSystemGetDriverVersion()}, {pynvml.nvmlDeviceGetCount()} GPUs")
    assert pynvml.nvmlDeviceGetCount() == count
    uuids = set()
    for index in range(count):
        device = pynvml.nvmlDeviceGetHandleByIndex(index)
        used = pynvml.nvmlDeviceGetMemoryInfo(device, version=pynvml.nvmlMemory_v2)
        rates = pynvml.nvmlDeviceGetUtilizationRates(device)
        uuid = pynvml.nvmlDeviceGetUUID(device)
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(device)
        shown = [(process.pid, process.usedGpuMemory) for process in processes]
        print(index, pynvml.nvmlDeviceGetName(device), uuid, f"{used.used}/{used.total} bytes",
              f"{rates.gpu} %", shown)
        assert pynvml.nvmlDeviceGetName(device) == name
        assert pynvml.nvmlDeviceGetMinorNumber(device) == index
        assert shown == ([(pid, memory)] if index == 0 else [])
        assert used.used == (memory if index == 0 else 0)
        assert used.used + used.free + used.reserved == used.total
        assert rates.gpu == (80 if index == 0 else 0)
        assert pynvml.nvmlDeviceGetTemperatureV(device, pynvml.NVML_TEMPERATURE_GPU) == 32
        uuids.add(uuid)
    assert len(uuids) == count
    check_errors()
    check_names()
    pynvml.nvmlShutdown()
    refused(pynvml.NVML_ERROR_UNINITIALIZED, pynvml.nvmlDeviceGetCount)


def check_errors():
    device = pynvml.nvmlDeviceGetHandleByIndex(0)
    refused(pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.nvmlDeviceGetHandleByIndex, 99)
    refused(pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.nvmlDeviceGetMigMode, device)
    refused(pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.nvmlDeviceGetFanSpeed, device)


def check_names():
    """Every function that the bindings look up is exported."""
    with open(pynvml.__file__, encoding="utf-8") as source:
        names = set(re.findall(r'_nvmlGetFunctionPointer\("(nvml\w+)"\)', source.read()))
    missing = [name for name in sorted(names) if not hasattr(pynvml.nvmlLib, name)]
    print(f"{len(names)} names looked up, {len(missing)} missing {missing}")
    assert len(names) > 300 and not missing


def refused(code, function, *arguments):
    try:
        answer = function(*arguments)
    except pynvml.NVMLError as error:
        assert error.value == code, f"{function.__name__} answered {error}"
    else:
        raise AssertionError(f"{function.__name__} answered {answer}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
