"""Why a kext is refused before any of its code runs: what OSKext answers, and what to do.

Pure data in the notation of ``explanations``. The place of the errno has a regular expression over
the result's name and the reasons; ``{1}`` is its first group.

Read beside it: ``libkern/c++/OSKext.cpp``, IOKitUser's ``kext.subproj/OSKext.c``.
"""

from kextlab.kernel.explanations import DOCUMENTED, LAB

BUNDLES = f"""
kextload: ^kOSKextReturnValidation: .*CFBundleVersion is | OSKextParseVersionString | {DOCUMENTED}
CFBundleVersion is missing or no version: up to 4, 2 and 2 digits, then perhaps d, a, b or f with a
level up to 255.
-> Write it as 1.0.0d1 while you develop and as 1.0.0 when you ship; 1.0.0d1 is the earlier one.

kextload: ^kOSKextReturnValidation: .*OSBundleLibraries is missing | \
OSKext::resolveDependencies | {DOCUMENTED}
A kext with an executable must say what it is linked against, or the kernel cannot link it.
-> Add OSBundleLibraries with the com.apple.kpi.* whose functions the kext calls; ctl_register and
the mbuf functions are in com.apple.kpi.bsd.

kextload: ^kOSKextReturnValidation: .*OSBundleCompatibleVersion is .*later | \
__OSKextProcessInfoDictionary | {DOCUMENTED}
OSBundleCompatibleVersion says from which version on a library still works with those who were built
against it; that cannot be later than the library itself.
-> Set it to the version in which you last broke your interface.

kextload: ^kOSKextReturnValidation: | __OSKextProcessInfoDictionary | {DOCUMENTED}
Something in the bundle is missing, of a wrong type or of a wrong value; every reason names its file
and key.
-> Mend what is named; plutil -lint Info.plist on a Mac finds what is no property list.

kextload: ^kOSKextReturnAuthentication: | __OSKextAuthenticateURLRecursively | {DOCUMENTED}
Code of the kernel must be such that only root can have written it: every file and folder of the
bundle belongs to root:wheel, and neither group nor others may write it.
-> On a Mac: sudo cp -R X.kext /Library/Extensions, then sudo chown -R root:wheel and sudo chmod -R
go-w. In the lab your own files count as root's; chmod -R go-w is enough.

kextload: ^kOSKextReturnDependencies: .*form a loop | OSKext::resolveDependencies | {DOCUMENTED}
A kext is loaded after what it is linked against. Where kexts need each other in a circle, none can
be the first.
-> Move what both need into a third kext.

kextload: ^kOSKextReturnDependencies: .*it was for 32-bit | \
OSKext::resolveDependencies | {DOCUMENTED}
The com.apple.kernel.* of the first releases of Mac OS X exported the whole kernel. They were for
32-bit kexts, and no kernel of today has them.
-> Name com.apple.kpi.bsd, iokit, libkern, mach instead, with version 8.0.0 or later.

kextload: ^kOSKextReturnDependencies: .*which is not found | \
OSKext::resolveDependencies | {DOCUMENTED}
A library is neither loaded nor among the bundles that were named.
-> Load it first, or say where it is: kextload -r FOLDER.

kextload: ^kOSKextReturnDependencies: .*(?:no OSBundleCompatibleVersion|which works with) | \
OSKext::isCompatibleWithVersion | {DOCUMENTED}
The library is there, but not in a version that works with the one asked for: that must lie between
the library's OSBundleCompatibleVersion and its CFBundleVersion. A loaded one is not exchanged.
-> Ask for a version in that range; of com.apple.kpi.* for the oldest you need, not for the newest.

kextload: ^kOSKextReturnDependencies: .*(?:not permitted|which only kexts of Apple's) | \
OSKext::resolveDependencies | {DOCUMENTED}
The library is there, but kexts of this kind may not be linked against it.
-> Name the com.apple.kpi.* that exports the function to everybody, or do without the function.

kextload: ^kOSKextReturnLoadedVersionDiffers: | OSKext::registerIdentifier | {DOCUMENTED}
A kernel holds one kext of an identifier, and here it holds another version or another executable.
-> Unload the old one first; raise CFBundleVersion when you change the code.

kextload: ^kOSKextReturnLinkError: | Bundle | {LAB}
The executable, a Python file here, raised while it ran or defines no class of kext that goes by
CFBundleIdentifier.
-> Run the file by itself first; let it define one class, with the identifier of the Info.plist.

kextload: ^kOSKextReturnNotAKext: | OSKextCreate | {DOCUMENTED}
What was named is no kext: the folder's name does not end in .kext.
-> Name the folder X.kext, not a folder in it and not the one around it.

kextunload: ^kOSKextReturnInUse: | OSKext::unload | {DOCUMENTED}
A kext that others are linked against cannot go: their code calls into it.
-> Unload those first; kextstat shows in angle brackets who is linked against whom.

kextunload: ^kOSKextReturnInvalidArgument: | OSKext::unload | {DOCUMENTED}
The com.apple.kpi.* look like kexts, but stand for the kernel itself.
-> Leave them loaded.

kextload kextunload: ^kOSKextReturnNotFound: | OSKext::removeKextWithIdentifier | {DOCUMENTED}
No such bundle is there, or no kext of that identifier is loaded.
-> Note that kextload takes a path, kextunload -b an identifier; kextstat lists what is loaded.

kextload kextunload: ^kOSKextReturnNotPrivileged: | checkAccess | {DOCUMENTED}
Only root loads and unloads kexts; others may load those whose OSBundleAllowUserLoad is true.
-> Use sudo.
"""
